"""The locks on history: the role's rights and the triggers, and the check that notices when one is off."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from psycopg import errors, sql

from ledger.checks import APPEND_ONLY_TABLES, check_locks
from ledger.drill.forgery import has_row_triggers
from tests.engines import ON_COCKROACHDB, postgresql_only
from tests.proof_world import small_history
from tests.servers import REPOSITORY, Servers, libpq, run_manage

pytestmark = pytest.mark.usefixtures("clean_stores")

REFUSE_CHANGE = import_module("ledger.migrations.0004_append_only_triggers").FUNCTION


@pytest.fixture
def owner(stack: Servers) -> Iterator[psycopg.Connection]:
    with psycopg.connect(libpq(stack.event_store_owner_url), autocommit=True) as conn:
        yield conn


def problems() -> list[str]:
    return [message.msg for message in check_locks(None, databases=["event_store"]) if message.is_serious()]


def test_as_migrated_every_lock_is_on() -> None:
    assert problems() == []
    assert check_locks(None, databases=["default"]) == []


@pytest.fixture
def row_triggers(owner: psycopg.Connection) -> None:
    """The triggers that the migrations make, which on CockroachDB a test that tampers has dropped."""
    if not ON_COCKROACHDB:
        return
    if not has_row_triggers(owner):
        pytest.skip("CockroachDB has triggers since 24.3")
    run_manage("migrate", "ledger", "0003")
    run_manage("migrate", "ledger")


@pytest.mark.parametrize("table", ["events", "journal", "tree_heads"])
@pytest.mark.usefixtures("row_triggers")
def test_not_even_the_owner_changes_history_by_mistake(owner: psycopg.Connection, table: str) -> None:
    small_history()
    before = owner.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
    column = {"events": "version", "journal": "position", "tree_heads": "tree_size"}[table]
    statements = ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"]
    if not ON_COCKROACHDB:  # which has no triggers for TRUNCATE
        statements.append("TRUNCATE {0}")
    for statement in statements:
        with pytest.raises(errors.RaiseException, match="append-only"):
            owner.execute(sql.SQL(statement).format(sql.Identifier(table), sql.Identifier(column)))
    assert owner.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall() == before


OLD_AND_YOUNG = """
INSERT INTO idempotency_keys (key, request_hash, outcome, recorded_at)
VALUES ('old', ''::bytea, '{}', clock_timestamp() - interval '25 hours'),
       ('young', ''::bytea, '{}', clock_timestamp() - interval '23 hours')
"""


@pytest.mark.usefixtures("row_triggers")
def test_a_key_goes_once_it_is_a_day_old_and_is_never_changed(owner: psycopg.Connection) -> None:
    owner.execute(OLD_AND_YOUNG)
    for statement in ("DELETE FROM idempotency_keys", "UPDATE idempotency_keys SET outcome = '[]' WHERE key = 'old'"):
        with pytest.raises(errors.RaiseException, match="append-only"):
            owner.execute(statement)
    owner.execute("DELETE FROM idempotency_keys WHERE key = 'old'")
    assert owner.execute("SELECT key FROM idempotency_keys").fetchall() == [("young",)]


@postgresql_only("CockroachDB has no triggers for TRUNCATE")
def test_every_append_only_table_has_both_triggers(owner: psycopg.Connection) -> None:
    found = owner.execute("SELECT tgrelid::regclass::text, count(*) FROM pg_trigger WHERE NOT tgisinternal GROUP BY 1")
    assert dict(found.fetchall()) == dict.fromkeys(APPEND_ONLY_TABLES, 2)


DATABASE = settings.DATABASES["event_store"]["NAME"]
OPENED = {
    "the role chronicle_app has UPDATE on events": (
        "GRANT UPDATE ON events TO chronicle_app", "REVOKE UPDATE ON events FROM chronicle_app"),
    "the role chronicle_app may make and change roles": (
        "ALTER ROLE chronicle_app CREATEROLE", "ALTER ROLE chronicle_app NOCREATEROLE"),
    "the role chronicle_app has UPDATE on outbox": (
        "GRANT UPDATE ON outbox TO chronicle_app", "REVOKE UPDATE ON outbox FROM chronicle_app"),
    "the role chronicle_app has DELETE on django_migrations": (
        "GRANT DELETE ON django_migrations TO chronicle_app", "REVOKE DELETE ON django_migrations FROM chronicle_app"),
    "the role chronicle_app has INSERT on django_migrations": (
        "GRANT INSERT ON django_migrations TO chronicle_app", "REVOKE INSERT ON django_migrations FROM chronicle_app"),
}  # fmt: skip
OPENED_ON_POSTGRESQL = {
    "the role chronicle_app has UPDATE on tiles": (
        "GRANT UPDATE (hashes) ON tiles TO chronicle_app", "REVOKE UPDATE (hashes) ON tiles FROM chronicle_app"),
    "the role chronicle_app may become postgres, which is a superuser: no lock on history holds it": (
        "GRANT postgres TO chronicle_app WITH INHERIT FALSE", "REVOKE postgres FROM chronicle_app"),
    "the role chronicle_app may become pg_write_all_data, which has UPDATE on tree_heads": (
        "GRANT pg_write_all_data TO chronicle_app WITH INHERIT FALSE",
        "REVOKE pg_write_all_data FROM chronicle_app"),
    "the role chronicle_app has TRUNCATE on journal": (
        "GRANT TRUNCATE ON journal TO chronicle_app", "REVOKE TRUNCATE ON journal FROM chronicle_app"),
    "the role chronicle_app has TRUNCATE on outbox": (
        "GRANT TRUNCATE ON outbox TO PUBLIC", "REVOKE TRUNCATE ON outbox FROM PUBLIC"),
    "the role chronicle_app has UPDATE on django_migrations": (
        "GRANT UPDATE (name) ON django_migrations TO chronicle_app",
        "REVOKE UPDATE (name) ON django_migrations FROM chronicle_app"),
    "the role chronicle_app has CREATE on the schema public": (
        "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    "the role chronicle_app has CREATE on the database": (
        f"GRANT CREATE ON DATABASE {DATABASE} TO chronicle_app", f"REVOKE CREATE ON DATABASE {DATABASE} FROM chronicle_app"),
    "the role chronicle_app may become pg_write_all_data, which has UPDATE on outbox": (
        "GRANT pg_write_all_data TO chronicle_app WITH INHERIT FALSE",
        "REVOKE pg_write_all_data FROM chronicle_app"),
    "the role chronicle_app has UPDATE on the view past": (
        "CREATE VIEW past AS SELECT * FROM events; GRANT UPDATE (data) ON past TO chronicle_app", "DROP VIEW past"),
    "the role chronicle_app has DELETE on the view past": (
        "CREATE VIEW past AS SELECT * FROM tiles; GRANT DELETE ON past TO PUBLIC", "DROP VIEW past"),
    "the role chronicle_app has the rights of the owner of forget()": (
        "CREATE FUNCTION forget() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM events'",
        "DROP FUNCTION forget()"),
    "the role chronicle_app is a superuser: no lock on history holds it": (
        "ALTER ROLE chronicle_app SUPERUSER", "ALTER ROLE chronicle_app NOSUPERUSER"),
    "the trigger tiles_append_only is gone, switched off or no longer refuses": (
        "ALTER TABLE tiles DISABLE TRIGGER tiles_append_only", "ALTER TABLE tiles ENABLE TRIGGER tiles_append_only"),
    "the trigger events_never_truncated is gone, switched off or no longer refuses": (
        "ALTER TRIGGER events_never_truncated ON events RENAME TO mine",
        "ALTER TRIGGER mine ON events RENAME TO events_never_truncated"),
}  # fmt: skip


OPENED_ON_COCKROACHDB = {
    "the role chronicle_app has DROP on events": (
        "GRANT DROP ON events TO chronicle_app", "REVOKE DROP ON events FROM chronicle_app"),
}  # fmt: skip
OPENED |= OPENED_ON_COCKROACHDB if ON_COCKROACHDB else OPENED_ON_POSTGRESQL


@pytest.mark.parametrize("problem", OPENED)
def test_a_lock_that_was_opened_is_noticed(owner: psycopg.Connection, problem: str) -> None:
    opening, closing = OPENED[problem]
    owner.execute(opening)
    try:
        assert problem in problems()
    finally:
        owner.execute(closing)
    assert problems() == []


TRIGGER = (
    "CREATE OR REPLACE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION "
)
# What leaves every trigger in its place, under its name, and has it do nothing. Each with what undoes it.
HOLLOWED = {
    "a function that only speaks of refusing": (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN /* RAISE EXCEPTION */ RETURN coalesce(NEW, OLD); END $$", REFUSE_CHANGE),
    "a condition that never holds": (
        TRIGGER.replace("EXECUTE", "WHEN (false) EXECUTE") + "refuse_change()", TRIGGER + "refuse_change()"),
    "one column of many": (
        TRIGGER.replace("UPDATE OR", "UPDATE OF version OR") + "refuse_change()", TRIGGER + "refuse_change()"),
    "deletion alone": (TRIGGER.replace("UPDATE OR", "") + "refuse_change()", TRIGGER + "refuse_change()"),
    "another function": (
        TRIGGER + "suppress_redundant_updates_trigger()", TRIGGER + "refuse_change()"),
    "another table": (
        f"DROP TRIGGER events_append_only ON events; {TRIGGER.replace('ON events', 'ON outbox')} refuse_change()",
        f"DROP TRIGGER events_append_only ON outbox; {TRIGGER} refuse_change()"),
    "a database in which no trigger is carried out": (
        f"ALTER DATABASE {DATABASE} SET session_replication_role = replica",
        f"ALTER DATABASE {DATABASE} RESET session_replication_role"),
}  # fmt: skip


@postgresql_only("a trigger of CockroachDB is not asked for")
@pytest.mark.parametrize("how", HOLLOWED)
def test_a_trigger_that_stands_and_does_nothing_is_noticed(owner: psycopg.Connection, how: str) -> None:
    opening, closing = HOLLOWED[how]
    owner.execute(opening)
    try:
        connections["event_store"].close()  # what is set for a database counts for new connections
        (problem, *_others) = problems()
        assert re.search("trigger events_append_only is gone|no trigger is carried out", problem)
    finally:
        owner.execute(closing)
        connections["event_store"].close()
    assert problems() == []


@postgresql_only("a trigger of CockroachDB that is gone is a warning")
def test_a_trigger_that_is_gone_together_with_its_migration_is_noticed(owner: psycopg.Connection) -> None:
    applied = ("FROM django_migrations WHERE app = 'ledger' AND name >= '0004'",)
    rows = owner.execute(f"SELECT app, name, applied {applied[0]}").fetchall()
    owner.execute("DROP TRIGGER events_append_only ON events")
    owner.execute(f"DELETE {applied[0]}")
    try:
        assert problems() == ["the trigger events_append_only is gone, switched off or no longer refuses"]
    finally:
        owner.execute(f"{TRIGGER} refuse_change()")
        owner.cursor().executemany("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", rows)
    assert problems() == []


@postgresql_only("a trigger of CockroachDB that is gone is a warning")
def test_migrations_are_applied_whatever_is_not_there_yet_and_nothing_else_starts_before() -> None:
    run_manage("migrate", "ledger", "0003")
    try:
        assert "the trigger tiles_append_only is gone, switched off or no longer refuses" in problems()
    finally:
        run_manage("migrate", "ledger")
    assert problems() == []


@postgresql_only("to own a table of CockroachDB a role needs rights on its schema")
def test_a_role_that_owns_a_table_is_noticed(owner: psycopg.Connection) -> None:
    (user,) = owner.execute("SELECT current_user").fetchone()
    owner.execute("ALTER TABLE tiles OWNER TO chronicle_app")
    try:
        assert any("owns tiles" in problem for problem in problems())
    finally:
        owner.execute(sql.SQL("ALTER TABLE tiles OWNER TO {}").format(sql.Identifier(user)))
        owner.execute("REVOKE UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES ON tiles FROM chronicle_app")
        owner.execute("GRANT SELECT, INSERT ON tiles TO chronicle_app")
    assert problems() == []


MANAGE = [sys.executable, str(REPOSITORY / "manage.py")]
PROCESSES = {
    "relay": [*MANAGE, "relay_events"],
    "projector": [*MANAGE, "run_projections"],
    "worker for holds": [*MANAGE, "expire_holds"],
    "process manager": [*MANAGE, "run_sagas"],
    "sweeper of old keys": [*MANAGE, "expire_keys"],
    "traffic": [*MANAGE, "simulate_traffic", "--commands", "1"],
    "import": [*MANAGE, "import_commands", "/dev/null", "--format", "csv", "--actor", "ann"],
    "change of keys": [*MANAGE, "rotate_log_key"],
    "web": [sys.executable, "-m", "daphne", "--port", "0", "--bind", "127.0.0.1", "chronicle.asgi:application"],
}


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_starts_while_the_role_may_change_history(owner: psycopg.Connection, process: str) -> None:
    owner.execute("GRANT DELETE ON journal TO chronicle_app")
    try:
        command = PROCESSES[process]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        owner.execute("REVOKE DELETE ON journal FROM chronicle_app")
    assert done.returncode != 0
    assert "has DELETE on journal" in done.stderr
