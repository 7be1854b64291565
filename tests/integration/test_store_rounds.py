"""A round of statements: what is sent arrives as it was, a failure takes all of it along and nothing after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from ledger.store import prepared
from ledger.store.connection import connection
from ledger.store.prepared import StoreConnection
from ledger.store.rounds import Round, rows
from projections.connection import read_model_connection
from tests.ledger_world import deposit, new_account

ARRAYS = """SELECT * FROM unnest(%b::text[], %b::timestamptz[], %b::uuid[], %b::bytea[], %b::bigint[], %b::int4[],
                                 %b::bool[], %b::date[], %b::numeric[])"""
AT = datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
ROWS = [
    ('a "quoted", {braced} \\ text', AT, UUID(int=7), b"\0\xff", 2**63 - 1, -(2**31), True, date(2026, 2, 28), 10**30),
    (None, None, UUID(int=8), b"", -(2**63), 0, False, date(1, 1, 1), -5),
]


@pytest.fixture
def conn(database: None) -> Iterator[StoreConnection]:
    # PostgreSQL whatever the event store is: a round without BEGIN is a transaction there.
    with read_model_connection() as connection:
        yield connection


@pytest.mark.parametrize("is_in_loop", [False, True])
async def test_what_is_refused_at_the_end_of_its_transaction_is_an_error_of_the_round(
    conn: StoreConnection, is_in_loop: bool
) -> None:
    conn.execute("CREATE TEMPORARY TABLE once (n bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    round_ = Round()
    round_.execute("INSERT INTO once VALUES (1), (1)")
    round_.settle()
    round_.execute("INSERT INTO once VALUES (2)")
    with pytest.raises(errors.UniqueViolation):
        await round_.run_in_loop(conn) if is_in_loop else round_.run(conn)
    assert ask(conn, "SELECT n FROM once") == [(2,)], "what comes after it is a transaction of its own"


def ask(conn: StoreConnection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    round_ = Round()
    round_.execute(query, parameters)
    (result,) = round_.run(conn)
    return rows(conn, result)


def test_arrays_and_nulls_arrive_as_they_were_sent(conn: StoreConnection) -> None:
    assert ask(conn, ARRAYS, *zip(*ROWS, strict=True)) == ROWS


def test_scalars_arrive_as_they_were_sent(conn: StoreConnection) -> None:
    query = "SELECT %s::bigint, %s::bytea, %s::timestamptz, %s::text, %s::float8"
    assert ask(conn, query, 5, b"\0\x01", AT, "a'b", 0.25) == [(5, b"\0\x01", AT, "a'b", 0.25)]


def test_a_round_larger_than_the_sockets_buffer_arrives(conn: StoreConnection) -> None:
    texts = ["x" * 1_000] * 5_000
    assert ask(conn, "SELECT sum(length(t)) FROM unnest(%b::text[]) AS t", texts) == [(5_000_000,)]


def test_a_value_its_type_cannot_hold_is_a_data_error_and_nothing_is_sent() -> None:
    with pytest.raises(psycopg.DataError):
        Round().execute("SELECT %b::bigint[]", [[2**63]])


def test_a_statement_that_fails_takes_the_round_along_and_the_next_one_works(conn: StoreConnection) -> None:
    conn.execute("CREATE TEMPORARY TABLE kept (n bigint)")
    round_ = Round()
    round_.execute("INSERT INTO kept SELECT * FROM unnest(%b::bigint[])", [[1, 2]])
    round_.execute("SELECT 1 / %s::bigint", [0])
    round_.execute("INSERT INTO kept SELECT %s", [3])
    with pytest.raises(errors.DivisionByZero):
        round_.run(conn)
    assert ask(conn, "SELECT count(*) FROM kept") == [(0,)]
    # Prepared by the round that failed, or not: both are known.
    assert ask(conn, "INSERT INTO kept SELECT %s RETURNING n", 4) == [(4,)]
    assert ask(conn, "SELECT 1 / %s::bigint", 1) == [(1,)]


def test_what_is_settled_outlives_a_failure_behind_it(conn: StoreConnection) -> None:
    conn.execute("CREATE TEMPORARY TABLE settled (n bigint)")
    round_ = Round()
    round_.execute("INSERT INTO settled SELECT %s", [1])
    round_.settle()
    round_.execute("INSERT INTO settled SELECT %s", [2])
    round_.execute("SELECT 1 / %s::bigint", [0])
    with pytest.raises(errors.DivisionByZero):
        round_.run(conn)
    assert ask(conn, "SELECT n FROM settled") == [(1,)]


async def test_who_stops_waiting_leaves_no_answer_for_the_next(conn: StoreConnection) -> None:
    round_ = Round()
    round_.execute("SELECT pg_sleep(5)")
    waiting = asyncio.create_task(round_.run_in_loop(conn))
    await asyncio.sleep(0)  # it is sent, and waits
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert conn.closed


@pytest.mark.parametrize("is_in_loop", [False, True])
async def test_a_server_that_is_gone_without_a_word_is_not_waited_for_without_end(
    conn: StoreConnection, monkeypatch: pytest.MonkeyPatch, is_in_loop: bool
) -> None:
    monkeypatch.setattr(prepared, "ANSWER_MS_MAX", 100)
    round_ = Round()
    round_.execute("SELECT pg_sleep(5)")
    with pytest.raises(psycopg.OperationalError, match="did not answer within 100 ms"):
        await round_.run_in_loop(conn) if is_in_loop else round_.run(conn)
    assert conn.closed


async def test_the_event_loop_goes_on_while_the_server_works(conn: StoreConnection) -> None:
    round_ = Round()
    round_.execute("SELECT pg_sleep(0.2), %s::bigint", [1])
    turns = 0
    waiting = asyncio.create_task(round_.run_in_loop(conn))
    while not waiting.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    assert rows(conn, (await waiting)[0])[0][1] == 1


def test_what_is_prepared_outlives_what_psycopg_would_deallocate(conn: StoreConnection) -> None:
    assert ask(conn, "SELECT %s::int", 1) == [(1,)]
    for _ in range(10):  # psycopg would prepare it by now
        conn.execute("SELECT %s::int", (1,)).fetchall()
    with conn.transaction(force_rollback=True):
        conn.execute("CREATE TABLE for_a_moment (a int)")
        conn.execute("DROP TABLE for_a_moment")
    conn.execute("SELECT 1")
    assert ask(conn, "SELECT %s::int", 1) == [(1,)]


def test_an_append_outlives_a_rollback_on_its_connection(database: None) -> None:
    account_id = new_account()
    with connection() as borrowed:
        for _ in range(10):
            borrowed.execute("SELECT %s::int", (1,)).fetchall()
        with borrowed.transaction(force_rollback=True):
            borrowed.execute("SELECT 1")
        borrowed.execute("SELECT 1")
        row = borrowed.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        assert row == (len(borrowed.prepared),), "the connection knows what the server has"
    assert deposit(account_id)
