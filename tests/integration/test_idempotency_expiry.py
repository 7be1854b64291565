"""Idempotency keys last as long as promised, and no longer than the next sweep after that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import errors

from chronicle.processes import MISSING, USAGE
from ledger import key_expiry
from ledger.checks import check_locks
from ledger.domain.commands import Deposit, Withdraw
from ledger.engine.submission import Accepted
from ledger.errors import StoreUnavailable
from ledger.store import connection, keys
from tests.api_world import new_id
from tests.engines import postgresql_only
from tests.ledger_world import accepted, history, new_account, rejected, rows, run
from tests.read_world import STOP_S_MAX, change_event_store, process
from tests.servers import Servers, libpq
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")
DAYS = 30
MINUTE = timedelta(minutes=1)
ONE = Decimal(1)


@pytest.fixture(autouse=True)
def promise(settings: Any) -> None:
    settings.IDEMPOTENCY_KEY_DAYS = DAYS


@pytest.fixture
def owner(stack: Servers) -> Iterator[psycopg.Connection]:
    with psycopg.connect(libpq(stack.event_store_owner_url), autocommit=True) as conn:
        yield conn


def age(key: str, by: timedelta) -> None:
    """Make a key look as old as that: the only way to have an old one without waiting for it."""
    change_event_store(
        "UPDATE idempotency_keys SET recorded_at = clock_timestamp() - %s WHERE key = %s", by, f"tester/{key}"
    )


def expire() -> str:
    out = StringIO()
    call_command("expire_keys", stdout=out)
    return out.getvalue()


def is_kept(key: str) -> bool:
    return bool(rows("SELECT 1 FROM idempotency_keys WHERE key = %s", f"tester/{key}"))


def test_a_key_is_kept_to_the_end_of_its_promise_and_removed_after_it() -> None:
    expire()  # what other tests have left
    account_id, before, after = new_account(), new_id("key"), new_id("key")
    for key in (before, after):
        accepted(Deposit(account_id, ONE), idempotency_key=key)
    age(before, timedelta(days=DAYS) - MINUTE)
    age(after, timedelta(days=DAYS) + MINUTE)
    assert expire().startswith("1 of ")
    assert (is_kept(before), is_kept(after)) == (True, False)
    # Within the promise the first answer; after it the key is new, for another request too.
    assert accepted(Deposit(account_id, ONE), idempotency_key=before).replayed
    assert not accepted(Deposit(account_id, Decimal(2)), idempotency_key=after).replayed
    assert accepted(Deposit(account_id, Decimal(2)), idempotency_key=after).replayed
    assert history(account_id)[-1][2] == 4_00


def test_the_service_removes_what_is_due_and_stops_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDEMPOTENCY_KEY_DAYS", str(DAYS))
    account_id, before, after = new_account(), new_id("key"), new_id("key")
    for key in (before, after):
        accepted(Deposit(account_id, ONE), idempotency_key=key)
    age(before, timedelta(days=DAYS) - MINUTE)
    age(after, timedelta(days=DAYS) + MINUTE)
    with process("expire_keys", "--daily") as service:
        wait_for(lambda: not is_kept(after), "the old key to be removed")
        assert is_kept(before)
        assert service.poll() is None, "it waits for the next day"
        service.terminate()
        assert service.wait(STOP_S_MAX) == 0


def test_a_service_that_the_store_does_not_let_in_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute in earnest; here at once."""
    sweep, attempts = key_expiry.sweep, list[int]()

    async def run() -> None:
        stop = asyncio.Event()

        def fails_once(days: int, stop_: asyncio.Event) -> int:
            attempts.append(days)
            if len(attempts) == 1:
                raise StoreUnavailable("away")
            loop.call_soon_threadsafe(stop.set)
            return sweep(days, stop_)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(key_expiry, "sweep", fails_once)
        monkeypatch.setattr(key_expiry, "RETRY_S", 0.01)
        await asyncio.wait_for(key_expiry.daily(stop, DAYS), STOP_S_MAX)

    asyncio.run(run())
    assert attempts == [DAYS, DAYS]


def test_a_refusal_is_remembered_as_long_as_anything_else() -> None:
    account_id, key = new_account(), new_id("key")
    rejected(Withdraw(account_id, ONE), idempotency_key=key)
    accepted(Deposit(account_id, ONE))
    age(key, timedelta(days=DAYS) - MINUTE)
    expire()
    assert rejected(Withdraw(account_id, ONE), idempotency_key=key).replayed
    age(key, timedelta(days=DAYS) + MINUTE)
    expire()
    assert isinstance(run(Withdraw(account_id, ONE), idempotency_key=key), Accepted)


def test_a_longer_promise_counts_for_keys_that_were_made_under_a_shorter_one(settings: Any) -> None:
    account_id, key = new_account(), new_id("key")
    accepted(Deposit(account_id, ONE), idempotency_key=key)
    age(key, timedelta(days=DAYS) + MINUTE)
    settings.IDEMPOTENCY_KEY_DAYS = DAYS + 1
    expire()
    assert is_kept(key)


def test_every_page_is_walked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "PAGE", 3)
    expire()  # what other tests have left
    account_id, prefix = new_account(), new_id("key")
    made = [f"{prefix}-{number:02}" for number in range(11)]
    for key in made:
        accepted(Deposit(account_id, ONE), idempotency_key=key)
    for key in made[::2]:
        age(key, timedelta(days=DAYS) + MINUTE)
    ((total,),) = rows("SELECT count(*) FROM idempotency_keys")
    assert expire() == f"6 of {total} keys were older than {DAYS} days and are removed\n"
    assert [is_kept(key) for key in made] == [False, True] * 5 + [False]
    assert expire().startswith("0 of ")


@pytest.mark.parametrize("days", [0, -1])
def test_a_promise_of_less_than_a_day_is_wrong_usage(settings: Any, days: int) -> None:
    settings.IDEMPOTENCY_KEY_DAYS = days
    with pytest.raises(CommandError, match="1 at least") as caught:
        expire()
    assert caught.value.returncode == USAGE


def test_an_event_store_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"host": "127.0.0.1", "port": 1, "dbname": "x"}
    monkeypatch.setattr(connection, "owner_parameters", lambda: nowhere)
    with pytest.raises(CommandError, match="does not answer") as caught:
        expire()
    assert caught.value.returncode == MISSING


def test_the_applications_role_can_remove_no_key_however_old() -> None:
    account_id, key = new_account(), new_id("key")
    accepted(Deposit(account_id, ONE), idempotency_key=key)
    age(key, timedelta(days=10 * DAYS))
    with connection.connection() as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute("DELETE FROM idempotency_keys WHERE key = %s", (f"tester/{key}",))


@postgresql_only("to make a key old takes the triggers away from CockroachDB")
def test_the_database_refuses_even_the_owner_a_key_of_less_than_a_day(owner: psycopg.Connection) -> None:
    account_id, key = new_account(), new_id("key")
    accepted(Deposit(account_id, ONE), idempotency_key=key)
    age(key, timedelta(days=1) - MINUTE)
    for statement in (
        "DELETE FROM idempotency_keys WHERE key = %s",
        "UPDATE idempotency_keys SET outcome = '{}' WHERE key = %s",
    ):
        with pytest.raises(errors.RaiseException, match="append-only"):
            owner.execute(statement, (f"tester/{key}",))
    age(key, timedelta(days=1) + MINUTE)
    with pytest.raises(errors.RaiseException, match="append-only"):
        owner.execute("UPDATE idempotency_keys SET outcome = '{}' WHERE key = %s", (f"tester/{key}",))
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", (f"tester/{key}",))
    assert not is_kept(key)


@postgresql_only("no check asks for CockroachDB's triggers")
def test_a_lock_that_lets_events_go_when_they_are_old_is_noticed(owner: psycopg.Connection) -> None:
    """What is right for keys is not for history."""
    trigger = "CREATE OR REPLACE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION {}()"
    owner.execute(trigger.format("refuse_change_of_keys"))
    try:
        assert [m.msg for m in check_locks(None, databases=["event_store"])] == [
            "the trigger events_append_only is gone, switched off or no longer refuses"
        ]
    finally:
        owner.execute(trigger.format("refuse_change"))
    assert check_locks(None, databases=["event_store"]) == []
