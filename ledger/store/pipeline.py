"""Statements that travel together: sent in one piece, answered in one piece, for those who do so all day.

The relay and the projector send a handful of statements for every batch, and a live batch is an event or two. What
psycopg's own pipeline does around them (an adapter for every value, a wake-up of the server for every statement)
was most of their work (ADR 9). Here the statements of a round are prepared once for a connection, their values are
packed by hand, and the server hears of them when all are there.

Outside of a transaction a round is one of its own: PostgreSQL carries out what comes before a Sync whole or not at
all (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING). On CockroachDB say BEGIN.
"""

from __future__ import annotations

import asyncio
import re
import select
import struct
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from ledger.store import prepared, wire
from ledger.store.prepared import BINARY, TEXT, StoreConnection, checked

BEGIN, COMMIT = "BEGIN", "COMMIT"
UNPREPARED = (BEGIN, COMMIT)  # there is nothing to plan
# An array of a type that is named (`%b::text[]`), or a scalar whose type follows from where it stands.
_PARAMETER = re.compile(r"%b::(\w+)\[\]|%s")


class Compiled(NamedTuple):
    """A statement as the server takes it, prepared under a name or not at all, and how its parameters are packed."""

    name: bytes
    text: bytes
    packers: tuple[Callable[[Any], bytes], ...]
    formats: tuple[int, ...]


class Round:
    """One round trip. `execute` takes what a cursor takes and queues it; `run` sends it all, once, and waits."""

    def __init__(self) -> None:
        self._calls: list[tuple[Compiled, list[bytes]]] = []
        self._prepares: list[bytes] = []  # the statements that this round prepares, as they come

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> None:
        """Queue a statement. Raises: psycopg.DataError for a value that its type cannot hold."""
        statement = compiled(query)
        try:
            packed = zip(statement.packers, statement.formats, parameters, strict=True)
            # Bytes where an array belongs are one that is encoded already.
            values = [v if format_ == BINARY and isinstance(v, bytes) else pack(v) for pack, format_, v in packed]
        except struct.error as error:
            raise psycopg.DataError(str(error)) from error
        self._calls.append((statement, values))

    def run(self, connection: StoreConnection) -> list[Any]:
        """Return the result of each statement. Raises: the psycopg error of the first that failed."""
        socket = select.poll()
        with closing(self._exchange(connection)) as exchange:
            while True:
                try:
                    socket.register(connection.pgconn.socket, next(exchange))
                except StopIteration as end:
                    return self._checked(connection, end.value)
                if not socket.poll(prepared.ANSWER_MS_MAX):  # without Python's lock
                    raise _no_answer()

    async def run_in_loop(self, connection: StoreConnection) -> list[Any]:
        """Do the same in an event loop: its thread does other work until the server has answered.

        **Why** not in a thread: the way there and back costs more than a live round's work on this side.
        """
        with closing(self._exchange(connection)) as exchange:
            while True:
                try:
                    wanted = next(exchange)
                except StopIteration as end:
                    return self._checked(connection, end.value)
                await _ready(connection.pgconn.socket, wanted)

    def _exchange(self, connection: StoreConnection) -> Generator[int, None, list[Any]]:
        """Send and receive; yield what to wait for on the socket. Left in the middle, it closes the connection."""
        pgconn = connection.pgconn
        answers: list[Any] = []
        try:
            pgconn.enter_pipeline_mode()
            self._send(connection)
            while pgconn.flush():  # a round that is larger than the socket's buffer
                yield select.POLLIN | select.POLLOUT
                pgconn.consume_input()
            while not answers or answers[-1].status != pq.ExecStatus.PIPELINE_SYNC:
                while pgconn.is_busy():
                    yield select.POLLIN
                    pgconn.consume_input()
                if (answer := pgconn.get_result()) is not None:
                    answers.append(answer)
                elif pgconn.status == pq.ConnStatus.BAD:
                    raise psycopg.OperationalError("the connection is lost")
            pgconn.exit_pipeline_mode()
        except BaseException:
            connection.close()  # some of the answers are still to come: nobody may take them for others
            raise
        return answers

    def _send(self, connection: StoreConnection) -> None:
        pgconn = connection.pgconn
        for statement, values in self._calls:
            if not statement.name:
                pgconn.send_query_params(statement.text, None)
                continue
            if statement.name not in connection.prepared and statement.name not in self._prepares:
                pgconn.send_prepare(statement.name, statement.text)
                self._prepares.append(statement.name)
            pgconn.send_query_prepared(statement.name, values, statement.formats, BINARY)
        pgconn.pipeline_sync()

    def _checked(self, connection: StoreConnection, answers: list[Any]) -> list[Any]:
        results, remaining = [], iter(answers)
        for statement, _ in self._calls:
            if statement.name in self._prepares:
                checked(connection.pgconn, next(remaining))
                # As they succeed: a statement prepared in a round that fails later is there all the same.
                connection.prepared.add(statement.name)
                self._prepares.remove(statement.name)
            results.append(checked(connection.pgconn, next(remaining)))
        return results


async def _ready(socket: int, wanted: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    def give_up() -> None:
        if not ready.done():
            ready.set_exception(_no_answer())

    timer = loop.call_later(prepared.ANSWER_MS_MAX / 1_000, give_up)
    loop.add_reader(socket, wake)
    if wanted & select.POLLOUT:
        loop.add_writer(socket, wake)
    try:
        await ready
    finally:
        timer.cancel()
        loop.remove_reader(socket)
        if wanted & select.POLLOUT:
            loop.remove_writer(socket)


def _no_answer() -> psycopg.OperationalError:
    """Of a server that is gone without a word: nothing else would end the wait, nor let the process stop."""
    return psycopg.OperationalError(f"the server did not answer within {prepared.ANSWER_MS_MAX} ms")


def rows(connection: psycopg.Connection[Any], result: Any) -> list[tuple[Any, ...]]:
    """Return a result's rows with the values that a cursor of this connection would give."""
    transformer = Transformer.from_context(connection)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


@lru_cache(maxsize=128)
def compiled(query: str) -> Compiled:
    """Return a statement with `%b::type[]` for arrays and `%s` for scalars in the form the server takes."""
    number, packers, formats = count(1), [], []

    def numbered(found: re.Match[str]) -> str:
        element = found[1]
        pack, format_ = _ARRAYS[element] if element else (_scalar, TEXT)
        packers.append(pack)
        formats.append(format_)
        return f"${next(number)}" + (f"::{element}[]" if element else "")

    text = _PARAMETER.sub(numbered, query).encode()
    name = b"" if query in UNPREPARED else b"round_" + sha256(text).hexdigest()[:16].encode()
    return Compiled(name, text, tuple(packers), tuple(formats))


def _scalar(value: Any) -> bytes:
    match value:
        case bytes():
            return wire.binary(value)
        case datetime():
            return wire.instant(value)
        case _:
            return str(value).encode()


def _literal(values: Sequence[Any]) -> bytes:
    """Return an array as text; its elements need no quotes."""
    return ("{" + ",".join(map(str, values)) + "}").encode()


def _booleans(values: Sequence[bool]) -> bytes:
    return _literal(["t" if value else "f" for value in values])


def _numbers(values: Sequence[int]) -> bytes:
    return _literal([format(value, "d") for value in values])  # refuses what is no integer


def _texts(values: Sequence[str | None]) -> bytes:
    return wire.nullable_texts(values) if None in values else wire.texts(values)  # type: ignore[arg-type]


def _instants(values: Sequence[datetime | None]) -> bytes:
    return wire.nullable_instants(values) if None in values else wire.instants(values)  # type: ignore[arg-type]


_ARRAYS: dict[str, tuple[Callable[[Any], bytes], int]] = {
    "text": (_texts, BINARY),
    "timestamptz": (_instants, BINARY),
    "uuid": (wire.uuids, BINARY),
    "bytea": (wire.binaries, BINARY),
    "bigint": (wire.bigints, BINARY),
    "int4": (wire.integers, BINARY),  # not `int`, which CockroachDB takes for int8
    "bool": (_booleans, TEXT),
    "date": (_literal, TEXT),
    "numeric": (_numbers, TEXT),
}
