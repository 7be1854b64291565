"""verify_ledger over values that no column may hold: each is a fault in its place, and none ends the verification.

Whoever owns a table can drop its constraints. So they are dropped here, and put back after each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.verify.faults import Fault, Kind
from tests.engines import postgresql_only
from tests.integration.test_verify_ledger import faults
from tests.integration.test_verify_rewrites import verify_command
from tests.proof_world import long_history, small_history, tamper
from tests.servers import Servers, libpq

pytestmark = [
    pytest.mark.usefixtures("clean_stores", "no_constraints"),
    postgresql_only("its constraints are dropped and put back by other statements"),
]
TABLES = ("events", "journal", "outbox", "tiles", "tree_heads")
OF_TABLES = "conrelid = ANY(%s::regclass[]) AND contype IN ('c', 'p', 'u')"
CONSTRAINTS = f"""
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE {OF_TABLES}
ORDER BY contype <> 'p'
"""
COLUMNS = """
SELECT attrelid::regclass::text, attname FROM pg_attribute
WHERE attrelid = ANY(%s::regclass[]) AND attnotnull AND attnum > 0 AND NOT attisdropped
"""
BY_AGGREGATE = "SELECT pg_get_indexdef('journal_by_aggregate'::regclass)"


@pytest.fixture
def no_constraints(stack: Servers, clean_stores: None) -> Iterator[None]:
    tables = [list(TABLES)]
    with psycopg.connect(libpq(stack.event_store_owner_url), autocommit=True) as owner:
        columns, constraints = owner.execute(COLUMNS, tables).fetchall(), owner.execute(CONSTRAINTS, tables).fetchall()
        ((index,),) = owner.execute(BY_AGGREGATE).fetchall()
        try:
            for table, name, _ in constraints:
                owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            for table, column in columns:
                owner.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
            owner.execute("DROP INDEX journal_by_aggregate")
            yield
        finally:
            owner.execute("SET session_replication_role = replica")
            owner.execute(f"TRUNCATE {', '.join(TABLES)}")
            for table, name, definition in constraints:
                owner.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
            for table, column in columns:
                owner.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL")
            owner.execute(index)


EVERY_WAY: list[dict[str, Any]] = [{"semantic": True}, {"account_id": "ann"}]


def check_each(stack: Servers, cases: dict[str, tuple[Kind | None, int]]) -> None:
    """Each statement alters `small_history`; a fault of the kind, or of any, has to be at the position."""
    small_history()
    for table in TABLES:
        tamper(stack, f"CREATE TABLE IF NOT EXISTS kept_{table} AS SELECT * FROM {table}")
    try:
        for statement, (kind, position) in cases.items():
            assert tamper(stack, statement) == 1, statement
            whole, of_account = (faults(**options) for options in EVERY_WAY)
            seen = {(kind and fault.kind, fault.position) for fault in whole}
            assert (kind, position) in seen, f"{statement}: {seen}"
            assert all(map(is_located, [*whole, *of_account])), statement
            for table in TABLES:
                tamper(stack, f"DELETE FROM {table}")
                tamper(stack, f"INSERT INTO {table} SELECT * FROM kept_{table}")
        assert faults(semantic=True) == []
    finally:
        for table in TABLES:
            tamper(stack, f"DROP TABLE kept_{table}")


def is_located(fault: Fault) -> bool:
    places = (fault.position, fault.after_position, fault.aggregate_id)
    return any(place is not None for place in places) or "tile " in fault.detail


EVENT = "WHERE aggregate_id = 'ann' AND version = 3"  # at position 3
EVENT_COLUMNS = ("event_id", "aggregate_id", "version", "aggregate_type", "event_type", "schema_version", "data", "metadata",
                 "state", "recorded_at", "effective_at", "previous_hash", "hash")  # fmt: skip
JOURNAL_COLUMNS = ("event_id", "aggregate_id", "version", "event_type", "command_id", "command_index", "command_size",
                   "event_hash", "running_hash", "is_late", "sequenced_at")  # fmt: skip


def test_a_null_in_a_column_of_an_event_is_a_fault_in_its_place(stack: Servers) -> None:
    check_each(stack, {f"UPDATE events SET {column} = NULL {EVENT}": (None, 3) for column in EVENT_COLUMNS})


@pytest.mark.parametrize("position", [3, 10])
def test_a_null_in_a_column_of_the_journal_is_a_fault_in_its_place(stack: Servers, position: int) -> None:
    check_each(stack, {
        f"UPDATE journal SET {column} = NULL WHERE position = {position}": (None, position)
        for column in JOURNAL_COLUMNS
    })  # fmt: skip


def test_a_value_that_no_column_may_hold_is_a_fault_in_its_place(stack: Servers) -> None:
    check_each(stack, {
        f"UPDATE events SET hash = '' {EVENT}": (Kind.HASH, 3),
        f"UPDATE events SET previous_hash = '\\x00' {EVENT}": (Kind.PREVIOUS_HASH, 3),
        f"UPDATE events SET version = -3 {EVENT}": (Kind.MISSING_EVENT, 3),
        f"UPDATE events SET version = 9223372036854775807 {EVENT}": (Kind.MISSING_EVENT, 3),
        "UPDATE journal SET event_hash = '' WHERE position = 3": (Kind.JOURNAL_DIFFERS, 3),
        "UPDATE journal SET running_hash = '\\x0102' WHERE position = 3": (Kind.RUNNING_HASH, 3),
        "UPDATE journal SET version = -9223372036854775808 WHERE position = 3": (Kind.MISSING_EVENT, 3),
        "UPDATE journal SET command_size = 0 WHERE position = 3": (Kind.JOURNAL_DIFFERS, 3),
        "UPDATE journal SET command_size = 2147483647 WHERE position = 10": (Kind.COMMAND, 10),
        "UPDATE journal SET command_index = -2147483648 WHERE position = 3": (Kind.COMMAND, 3),
        "UPDATE journal SET position = 9223372036854775807 WHERE position = 10": (Kind.MISSING_POSITION, 10),
        "UPDATE journal SET position = 9 WHERE position = 10": (Kind.POSITION, 9),
        "UPDATE journal SET aggregate_id = NULL, event_hash = NULL WHERE position = 3": (Kind.UNREADABLE, 3),
        "UPDATE journal SET version = NULL, command_id = NULL, running_hash = NULL WHERE position = 3": (Kind.UNREADABLE, 3),
    })  # fmt: skip


JSON = (
    "null",
    "5",
    '"x"',
    "[]",
    "{}",
    "[[[]]]",
    "true",
    "123456789012345678901234567890",
    "1e400",
    "[" * 2000 + "]" * 2000,
    "[" * 990 + "]" * 990,
    '{"balance_minor": ' + "[" * 990 + "]" * 990 + "}",
)


@pytest.mark.parametrize("column", ["data", "metadata", "state"])
def test_json_of_a_wrong_kind_is_a_fault_in_its_place(stack: Servers, column: str) -> None:
    check_each(stack, {f"UPDATE events SET {column} = '{value}' {EVENT}": (Kind.HASH, 3) for value in JSON})


FIELDS = {
    "data": ("amount_minor", "currency", "counter_account", "description", "transfer_id"),
    "state": ("balance_minor", "holds", "currency", "status", "owner_name", "overdraft_limit_minor"),
    "metadata": ("actor", "command_id", "command_index", "command_size", "command_type", "idempotency_key"),
}
VALUES = ("null", '"x"', "[1]", '{"a": {}}', "-1", "1.5", "2000000000", "123456789012345678901234567890")


@pytest.mark.parametrize("column", FIELDS)
def test_a_field_of_a_wrong_kind_is_a_fault_in_its_place(stack: Servers, column: str) -> None:
    check_each(stack, {
        f"UPDATE events SET {column} = {column} || '{{\"{field}\": {value}}}' {EVENT}": (Kind.HASH, 3)
        for field in FIELDS[column]
        for value in VALUES
        if (field, value) not in (("transfer_id", "null"), ("idempotency_key", "null"))
    })  # fmt: skip


@pytest.mark.parametrize("position", ["0", "-5", "-9223372036854775808", "NULL"])
def test_what_is_journaled_before_the_first_position_is_found(stack: Servers, position: str) -> None:
    small_history()
    tamper(stack, f"UPDATE journal SET position = {position} WHERE position = 10")
    place = None if position == "NULL" else int(position)
    for options in EVERY_WAY:
        seen = {(fault.kind, fault.position, fault.aggregate_id, fault.version) for fault in faults(**options)}
        assert ((Kind.POSITION, place, "ann", 7) in seen) or (place is None and "account_id" in options), seen
        assert seen, options


def test_the_command_names_what_is_journaled_at_no_position_and_leaves_with_1(stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE journal SET position = -5 WHERE position = 10")
    for arguments in ((), ("--account", "ann")):
        done = verify_command(*arguments)
        assert (done.returncode, done.stderr) == (1, "")
        assert "position -5, ann version 7: position: MoneyDeposited stands before the first position" in done.stdout


def test_an_event_that_is_journaled_twice_is_found(stack: Servers) -> None:
    small_history()
    tamper(stack, "INSERT INTO journal SELECT 11, event_id, aggregate_id, version, event_type, command_id, command_index, "
                  "command_size, event_hash, sha256(running_hash || event_hash), is_late, sequenced_at "
                  "FROM journal WHERE position = 10")  # fmt: skip
    assert [(f.kind, f.position, f.aggregate_id, f.version) for f in faults()] == [(Kind.REPEATED_EVENT, 11, "ann", 7)]


TILES = {
    "UPDATE tiles SET hashes = ''": (Kind.TILE, 1),
    "UPDATE tiles SET hashes = NULL": (Kind.TILE, 1),
    "UPDATE tiles SET hashes = substr(hashes, 1, 100)": (Kind.TILE, 1),
    "UPDATE tiles SET root = ''": (Kind.TILE, 1),
    "UPDATE tiles SET root = NULL": (Kind.TILE, 1),
    "UPDATE tiles SET level = NULL": (Kind.TILE, 1),
    "INSERT INTO tiles SELECT -1, tile_index, hashes, root FROM tiles": (Kind.TILE, None),
    "INSERT INTO tiles SELECT 0, -1, hashes, root FROM tiles": (Kind.TILE, None),
    "INSERT INTO tiles SELECT 2147483647, 0, hashes, root FROM tiles": (Kind.TILE, None),
    "UPDATE tree_heads SET note = NULL": (Kind.HEAD, 300),
    "UPDATE tree_heads SET note = ''": (Kind.HEAD, 300),
    f"UPDATE tree_heads SET note = replace(note, E'\\n300\\n', E'\\n{'9' * 5000}\\n')": (Kind.HEAD, 300),
    "UPDATE tree_heads SET signed_at = NULL": (Kind.TIME, 300),
    "UPDATE tree_heads SET tree_size = 0": (Kind.HEAD, 0),
    "UPDATE tree_heads SET tree_size = -7": (Kind.HEAD, -7),
    "UPDATE tree_heads SET tree_size = NULL": (Kind.HEAD, None),
    "UPDATE tree_heads SET tree_size = 9223372036854775807": (Kind.HEAD, 9223372036854775807),
    "UPDATE journal SET event_hash = NULL WHERE position = 300": (Kind.UNREADABLE, 300),
    "UPDATE journal SET event_hash = '' WHERE position = 256": (Kind.JOURNAL_DIFFERS, 256),
}  # fmt: skip


def test_a_tile_or_a_head_that_cannot_be_one_is_found(stack: Servers) -> None:
    head = long_history(300)
    for table in ("journal", "tiles", "tree_heads"):
        tamper(stack, f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    try:
        for statement, (kind, position) in TILES.items():
            assert tamper(stack, statement) == 1, statement
            found = {(f.kind, f.position) for f in faults(semantic=True, against=(("kept", head.note),))}
            assert (kind, position) in found, f"{statement}: {found}"
            faults(account_id="account-1", against=(("kept", head.note),))
            for table in ("journal", "tiles", "tree_heads"):
                tamper(stack, f"DELETE FROM {table}")
                tamper(stack, f"INSERT INTO {table} SELECT * FROM kept_{table}")
    finally:
        for table in ("journal", "tiles", "tree_heads"):
            tamper(stack, f"DROP TABLE kept_{table}")


def test_a_tile_or_a_head_beside_the_right_one_is_found_whichever_comes_first(stack: Servers) -> None:
    long_history(300)
    for table, position, altered in (
        ("tiles", 1, "hashes = set_byte(hashes, 0, 255 - get_byte(hashes, 0))"),
        ("tree_heads", 300, "note = 'nothing'"),
    ):
        tamper(stack, f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
        try:
            tamper(stack, f"UPDATE {table} SET {altered}")
            for rows in (f"SELECT * FROM kept_{table}", f"SELECT DISTINCT * FROM {table}"):
                tamper(stack, f"INSERT INTO {table} {rows}")
                twice = [fault for fault in faults() if "twice" in fault.detail or "more than one" in fault.detail]
                assert [fault.position for fault in twice] == [position]
            tamper(stack, f"DELETE FROM {table}")
            tamper(stack, f"INSERT INTO {table} SELECT * FROM kept_{table}")
        finally:
            tamper(stack, f"DROP TABLE kept_{table}")
    assert faults() == []


def test_a_change_of_keys_that_is_none_is_found(stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE events SET aggregate_id = 'log:keys' WHERE aggregate_id = 'ann' AND version = 1")
    tamper(stack, "UPDATE journal SET aggregate_id = 'log:keys' WHERE position = 1")
    for value in ("null", "5", "[]", '{"old_key": 5, "new_key": [], "note": {}}'):
        tamper(stack, "UPDATE events SET data = %s::jsonb WHERE aggregate_id = 'log:keys'", value)
        assert (Kind.KEY, 1) in {(fault.kind, fault.position) for fault in faults(semantic=True)}
