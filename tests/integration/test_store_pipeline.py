"""A pipeline's answers: whatever fails among them, what the server has is known, and the first failure is the one told."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from ledger.store.pipeline import Pipeline
from ledger.store.prepared import Statement, StoreConnection
from projections.connection import read_model_connection

BEGIN, COMMIT = Statement(b"test_begin", b"BEGIN"), Statement(b"test_commit", b"COMMIT")
ONE, DIVIDE = Statement(b"test_one", b"SELECT 1"), Statement(b"test_divide", b"SELECT 1 / $1::int")
LATER = Statement(b"test_later", b"SELECT 2")


@pytest.fixture
def conn(database: None) -> Iterator[StoreConnection]:
    with read_model_connection() as connection:
        yield connection


def test_after_a_failure_the_connection_knows_what_the_server_has(conn: StoreConnection) -> None:
    pipeline = Pipeline(conn)
    pipeline.send(BEGIN)
    pipeline.send(ONE)
    pipeline.send(DIVIDE, [b"0"])
    pipeline.sync()
    pipeline.send(LATER)  # refused, like all of a transaction that failed
    pipeline.sync()
    pipeline.send(COMMIT)  # prepared all the same, and rolls back
    pipeline.sync()
    with pytest.raises(errors.DivisionByZero):
        pipeline.results()
    there = {name.encode() for (name,) in conn.execute("SELECT name FROM pg_prepared_statements").fetchall()}
    assert there == conn.prepared == {s.name for s in (BEGIN, ONE, DIVIDE, COMMIT)}
    pipeline = Pipeline(conn)
    for statement in (BEGIN, LATER, COMMIT):
        pipeline.send(statement)
    pipeline.sync()
    assert [result.ntuples for result in pipeline.results()] == [0, 1, 0]


def test_a_connection_that_breaks_among_the_answers_is_closed(conn: StoreConnection) -> None:
    pipeline = Pipeline(conn)
    pipeline.send(ONE)
    pipeline.send(Statement(b"test_end", b"SELECT pg_terminate_backend(pg_backend_pid())"))
    pipeline.send(LATER)
    pipeline.sync()
    with pytest.raises(psycopg.OperationalError):
        pipeline.results()
    assert conn.closed
