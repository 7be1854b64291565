"""Prepared statements straight through libpq, for the two statements that every command waits for.

`psycopg.pq` is psycopg's own layer on libpq; above it, cursors adapt values, cache plans and keep rows, which
costs some 65 µs of every statement, half of the way of a read (ADR 11). A call blocks its thread, without
Python's lock, until the server has answered: at most the connection's statement_timeout.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, pq

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
TEXT, BINARY = 0, 1
# Longer than the server spends on a statement (`connection.STATEMENT_MS_MAX`).
ANSWER_MS_MAX = 40_000
_SYNC = b"sync"


class Statement(NamedTuple):
    """`text` has its parameters as $1, $2, …; `name` is what the server knows it by, once for each connection."""

    name: bytes
    text: bytes


class StoreConnection(psycopg.Connection[Any]):
    """A connection that remembers what it has prepared."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[bytes] = set()


def run(connection: StoreConnection, statement: Statement, values: Sequence[bytes],
        formats: Sequence[int] | None = None) -> Any:  # fmt: skip
    """Return the result of a statement, in text format. Raises: the psycopg error of its SQLSTATE."""
    pgconn = connection.pgconn
    if statement.name not in connection.prepared:
        checked(pgconn, pgconn.prepare(statement.name, statement.text))
        connection.prepared.add(statement.name)
    return checked(pgconn, pgconn.exec_prepared(statement.name, values, formats))


class Pipeline:
    """Statements that are sent without waiting for one another; `results` waits, and has all of them.

    The connection must be one that nobody else uses meanwhile. After the first failure the server carries out
    nothing more of the transaction.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._sent: list[bytes | None] = []  # what answers will come: to a PREPARE (its name), or to a statement
        self._pgconn.enter_pipeline_mode()

    def send(self, statement: Statement, values: Sequence[bytes] = (), formats: Sequence[int] | None = None) -> None:
        """Raises: the psycopg error of a connection that broke."""
        if statement.name not in self._connection.prepared and statement.name not in self._sent:
            self._pgconn.send_prepare(statement.name, statement.text)
            self._sent.append(statement.name)
        self._pgconn.send_query_prepared(statement.name, values, formats)
        self._sent.append(None)

    def sync(self) -> None:
        """Let the server begin with what was sent; what the socket does not take now goes with the next."""
        self._pgconn.pipeline_sync()
        self._sent.append(_SYNC)
        self._pgconn.flush()

    def results(self) -> list[Any]:
        """Return the result of each statement. Raises: the psycopg error of the first that failed."""
        results, failure = [], None
        for sent in self._sent:
            result = self._next_result()
            if sent == _SYNC:
                continue
            self._next_result()  # the null after each statement's
            if result.status in _OK:
                results.append(result) if sent is None else self._connection.prepared.add(sent)
            elif failure is None:
                failure = result
        self._sent.clear()
        self._pgconn.exit_pipeline_mode()
        if failure is not None:
            checked(self._pgconn, failure)
        return results

    def abandon(self, rollback: Statement) -> None:
        """Undo what was sent, whatever became of it, so that the connection can be used again."""
        with suppress(psycopg.Error):  # a connection that broke has undone it, and goes no further than its pool
            self.send(rollback)
            self.sync()
            self.results()

    def _next_result(self) -> Any:
        pgconn = self._pgconn
        while (is_unsent := bool(pgconn.flush())) | pgconn.is_busy():
            poll = select.poll()
            poll.register(pgconn.socket, select.POLLIN | (select.POLLOUT if is_unsent else 0))
            if not poll.poll(ANSWER_MS_MAX):
                self._connection.close()
                raise psycopg.OperationalError(f"the server did not answer within {ANSWER_MS_MAX} ms")
            pgconn.consume_input()
        result = pgconn.get_result()
        if pgconn.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError("the connection broke while statements were on their way")
        return result


def checked(pgconn: Any, result: Any) -> Any:
    """Return a result that is none of a failure. Raises: the psycopg error of its SQLSTATE, or of a lost connection."""
    if result.status in _OK:
        return result
    if pgconn.status == pq.ConnStatus.BAD:
        raise psycopg.OperationalError(result.get_error_message())
    raise errors.error_from_result(result)
