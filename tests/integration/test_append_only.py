"""History cannot be changed by the application: the database itself refuses."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from django.db import ProgrammingError, connections
from psycopg import errors

from chronicle.databases import database
from ledger.domain.commands import Deposit
from ledger.drill.forgery import go_past_triggers
from ledger.store.connection import close_pool, connection, dedicated_connection
from tests.ledger_world import accepted, new_account, scalar
from tests.servers import Servers, libpq

FINANCIAL_TABLES = ("events", "journal", "idempotency_keys", "refusals")
REFUSED = "permission denied|does not have .* privilege"  # PostgreSQL's words and CockroachDB's
pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("table", FINANCIAL_TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}",
                                       "ALTER TABLE {} ADD COLUMN x int"])  # fmt: skip
def test_the_database_refuses_to_change_a_financial_table(table: str, statement: str) -> None:
    column = {"events": "version", "journal": "position", "idempotency_keys": "key", "refusals": "code"}[table]
    with connection() as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement.format(table, column, column))  # type: ignore[arg-type]


def test_only_the_outbox_may_be_deleted_from() -> None:
    new_account()
    with connection() as conn:
        assert conn.execute("DELETE FROM outbox").rowcount > 0
        with pytest.raises(errors.InsufficientPrivilege):
            conn.execute("UPDATE outbox SET recorded_at = recorded_at")


def test_the_owner_can_so_the_refusal_above_is_the_roles(stack: Servers) -> None:
    account_id = new_account(1)
    with psycopg.connect(libpq(stack.event_store_owner_url)) as owner:
        go_past_triggers(owner)  # the second lock, which holds the owner too
        changed = owner.execute("UPDATE events SET event_type = event_type WHERE aggregate_id = %s", [account_id])
        assert changed.rowcount == 2
        owner.rollback()


def test_djangos_own_connection_is_held_to_the_same(stack: Servers) -> None:
    with connections["event_store"].cursor() as cursor, pytest.raises(ProgrammingError, match=REFUSED):
        cursor.execute("DELETE FROM events")


def test_one_owners_url_is_enough_because_every_connection_takes_the_role(
    stack: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = database(stack.event_store_owner_url, role="chronicle_app")
    alias = connections["event_store"]
    close_pool()
    alias.close()
    with monkeypatch.context() as patch:
        for name, value in owners.items():
            patch.setitem(alias.settings_dict, name, value)
        with connection() as pooled, dedicated_connection() as own, alias.cursor() as djangos:
            for conn in (pooled, own, djangos):
                with pytest.raises((errors.InsufficientPrivilege, ProgrammingError), match=REFUSED):
                    conn.execute("DELETE FROM events")
        close_pool()
        alias.close()


def test_the_role_can_still_do_its_work() -> None:
    account_id = new_account()
    accepted(Deposit(account_id, Decimal(1)))
    assert scalar("SELECT count(*) FROM events WHERE aggregate_id = %s", account_id) == 2
