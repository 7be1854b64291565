"""Prepared statements straight through libpq, for the two statements that every command waits for.

`psycopg.pq` is psycopg's own layer on libpq; above it, cursors adapt values, cache plans and keep rows, which
costs some 65 µs of every statement, half of the way of a read (ADR 11). A call blocks its thread, without
Python's lock, until the server has answered or ANSWER_MS_MAX is over.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg import errors, pq

from ledger.store.bounded import BoundedConnection

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
TEXT, BINARY = 0, 1
# Longer than the server spends on a statement (`connection.STATEMENT_MS_MAX`).
ANSWER_MS_MAX = 40_000
T = TypeVar("T")


class Statement(NamedTuple):
    """`text` has its parameters as $1, $2, …; `name` is what the server knows it by, once for each connection."""

    name: bytes
    text: bytes


# CockroachDB tries a statement again by itself until results are on their way; then it is up to the client. PostgreSQL
# never asks for it at READ COMMITTED.
ATTEMPTS_MAX = 10


class StoreConnection(BoundedConnection):
    """A connection that remembers what it has prepared, and tries a statement again that met other writers.

    `is_hurried`: it belongs to somebody whose statements are short, and who waits for no answer longer than
    ANSWER_MS_MAX. Others verify, and rebuild.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[bytes] = set()
        self.is_hurried = False
        self.socket = select.poll()
        self.socket.register(self.pgconn.socket, select.POLLIN)

    def longest_wait_s(self) -> float | None:
        return ANSWER_MS_MAX / 1_000 if self.is_hurried else None

    def execute(self, query: Any, params: Any = None, **options: Any) -> psycopg.Cursor[Any]:
        """Execute a statement as psycopg does. By itself, not in a transaction, it is tried again on 40001.

        **Why** whatever it says: the server has undone it. Source:
        https://www.cockroachlabs.com/docs/stable/transactions#automatic-retries
        """
        is_alone = self.pgconn.transaction_status == pq.TransactionStatus.IDLE and self.autocommit
        for attempt in range(ATTEMPTS_MAX):
            try:
                return super().execute(query, params, **options)
            except errors.SerializationFailure:
                if not is_alone or attempt == ATTEMPTS_MAX - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")


def run(connection: StoreConnection, statement: Statement, values: Sequence[bytes],
        formats: Sequence[int] | None = None) -> Any:  # fmt: skip
    """Return the result of a statement, in text format. Raises: the psycopg error of its SQLSTATE."""
    pgconn = connection.pgconn
    if statement.name not in connection.prepared:
        pgconn.send_prepare(statement.name, statement.text)
        _checked(pgconn, _answer(connection))
        connection.prepared.add(statement.name)
    pgconn.send_query_prepared(statement.name, values, formats)
    return _checked(pgconn, _answer(connection))


async def run_in_loop(connection: StoreConnection, statement: Statement, values: Sequence[bytes],
                      formats: Sequence[int] | None = None) -> Any:  # fmt: skip
    """Do the same in an event loop: its thread does other work until the server has answered."""
    pgconn = connection.pgconn
    if statement.name not in connection.prepared:
        pgconn.send_prepare(statement.name, statement.text)
        _checked(pgconn, await _answer_in_loop(connection))
        connection.prepared.add(statement.name)
    pgconn.send_query_prepared(statement.name, values, formats)
    return _checked(pgconn, await _answer_in_loop(connection))


async def _answer_in_loop(connection: StoreConnection) -> Any:
    pgconn, result = connection.pgconn, None
    try:
        while True:
            for wanted in arrival(pgconn):
                await ready(pgconn.socket, wanted)
            found = pgconn.get_result()
            if found is None:
                return result
            result = found
    except BaseException:
        connection.close()  # as in `_answer`, and also where the loop's task was cancelled
        raise


async def ready(socket: int, wanted: int) -> None:
    """Wait in an event loop for a socket. Raises: psycopg.OperationalError after ANSWER_MS_MAX."""
    loop = asyncio.get_running_loop()
    is_ready = loop.create_future()

    def wake() -> None:
        if not is_ready.done():
            is_ready.set_result(None)

    def give_up() -> None:
        if not is_ready.done():
            is_ready.set_exception(no_answer())

    timer = loop.call_later(ANSWER_MS_MAX / 1_000, give_up)
    loop.add_reader(socket, wake)
    if wanted & select.POLLOUT:
        loop.add_writer(socket, wake)
    try:
        await is_ready
    finally:
        timer.cancel()
        loop.remove_reader(socket)
        if wanted & select.POLLOUT:
            loop.remove_writer(socket)


def wait(connection: StoreConnection, exchange: Generator[int, None, T]) -> T:
    """Return what an exchange returns; it yields what to wait for on the socket, here without Python's lock."""
    socket = select.poll()
    with closing(exchange):
        while True:
            try:
                socket.register(connection.pgconn.socket, next(exchange))
            except StopIteration as end:
                result: T = end.value
                return result
            if not socket.poll(ANSWER_MS_MAX):
                raise no_answer()


def arrival(pgconn: Any) -> Generator[int, None, None]:
    """Yield what to wait for until everything is sent and an answer has come."""
    while pgconn.flush():  # more than the socket's buffer holds
        yield select.POLLIN | select.POLLOUT
        pgconn.consume_input()
    while pgconn.is_busy():
        yield select.POLLIN
        pgconn.consume_input()


def _answer(connection: StoreConnection) -> Any:
    """Do what `wait` does with `arrival`, written out.

    **Why** every command waits here, and the generators cost it more than half of what ADR 14 had won.
    """
    pgconn, result = connection.pgconn, None
    try:
        while True:
            while (is_unsent := pgconn.flush()) or pgconn.is_busy():
                if is_unsent:
                    connection.socket.register(pgconn.socket, select.POLLIN | select.POLLOUT)
                if not connection.socket.poll(ANSWER_MS_MAX):
                    raise no_answer()
                if is_unsent:
                    connection.socket.register(pgconn.socket, select.POLLIN)
                pgconn.consume_input()
            found = pgconn.get_result()
            if found is None:
                return result
            result = found
    except BaseException:
        connection.close()  # the answer is still to come, and nobody may take it for another's
        raise


def no_answer() -> psycopg.OperationalError:
    """Of a server that is gone without a word: nothing else would end the wait, nor let the process stop."""
    return psycopg.OperationalError(f"the server did not answer within {ANSWER_MS_MAX} ms")


def succeeded(result: Any) -> bool:
    return result.status in _OK


def error_of(pgconn: Any, result: Any) -> psycopg.Error:
    """Return the psycopg error of a failed result's SQLSTATE, or that of a lost connection."""
    if pgconn.status == pq.ConnStatus.BAD:
        return psycopg.OperationalError(result.get_error_message())
    return errors.error_from_result(result)


def _checked(pgconn: Any, result: Any) -> Any:
    if succeeded(result):
        return result
    raise error_of(pgconn, result)
