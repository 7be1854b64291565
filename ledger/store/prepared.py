"""Prepared statements straight through libpq, for the two statements that every command waits for.

`psycopg.pq` is psycopg's own layer on libpq; above it, cursors adapt values, cache plans and keep rows, which
costs some 65 µs of every statement, half of the way of a read (ADR 11). A call blocks its thread, without
Python's lock, until the server has answered: at most the connection's statement_timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, pq

_OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
TEXT, BINARY = 0, 1


class Statement(NamedTuple):
    """`text` has its parameters as $1, $2, …; `name` is what the server knows it by, once for each connection."""

    name: bytes
    text: bytes


# CockroachDB tries a statement again by itself until results are on their way; then it is up to the client. PostgreSQL
# never asks for it at READ COMMITTED.
ATTEMPTS_MAX = 10


class StoreConnection(psycopg.Connection[Any]):
    """A connection that remembers what it has prepared, and tries a statement again that met other writers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[bytes] = set()

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
        _checked(pgconn, pgconn.prepare(statement.name, statement.text))
        connection.prepared.add(statement.name)
    return _checked(pgconn, pgconn.exec_prepared(statement.name, values, formats))


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
