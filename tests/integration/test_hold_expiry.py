"""Holds end at their deadline, once, whoever works on it and whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from chronicle import hold_expiry
from chronicle.hold_expiry import HoldExpiry, expire_holds
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    PlaceHold,
    ReleaseHold,
    SetOverdraftLimit,
    Withdraw,
)
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted
from ledger.errors import StoreUnavailable
from projections import rebuild
from projections.connection import read_model_connection
from projections.projection import by_name
from tests.integration.test_verify_ledger import faults
from tests.ledger_world import accepted, new_account, rejected, rows, submission
from tests.proof_world import sign
from tests.read_world import (
    STOP_S_MAX,
    Background,
    order_everything,
    process,
    projector,
    read_model,
    relay,
    wait_until_applied,
)
from tests.servers import KILLED_AT, REPOSITORY
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
# Time enough to do something before the deadline, on a machine that does other things too.
SOON_S = 2.0
RELEASES = (
    "SELECT data->>'hold_id', metadata->>'actor', count(*) FROM events WHERE event_type = 'HoldReleased' GROUP BY 1, 2"
)


def place(account_id: str, seconds: float | None, amount: int = 10) -> str:
    """Place a hold that expires so many seconds from now, and return its id."""
    expires_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    outcome = accepted(PlaceHold(account_id, Decimal(amount), "hotel", expires_at))
    hold_id: str = outcome.events[0].data["hold_id"]
    return hold_id


def place_many(count: int, seconds: float) -> set[str]:
    """Place holds on accounts of their own, a hundred on each."""
    expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
    accounts = [new_account(1_000) for _ in range(-(-count // 100))]
    commands = [PlaceHold(accounts[index // 100], Decimal(1), "", expires_at) for index in range(count)]
    outcomes = execute([submission(command) for command in commands])
    return {o.events[0].data["hold_id"] for o in outcomes if isinstance(o, Accepted)}


def released() -> dict[str, tuple[str, int]]:
    return {hold_id: (actor, count) for hold_id, actor, count in rows(RELEASES)}


def shown() -> dict[str, str]:
    return dict(read_model("SELECT transfer_id, status FROM transfers"))


def wait_until_over(seconds: float) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    wait_for(lambda: datetime.now(UTC) > deadline, "the deadline")


def project() -> None:
    """Bring the read model to the journal's head and stop: it stays behind whatever comes then."""
    order_everything()
    with projector():
        wait_until_applied()


def release_due() -> float:
    return HoldExpiry(asyncio.Event()).release_due()


def test_a_hold_is_released_at_its_deadline_and_the_money_is_available_again() -> None:
    account_id = new_account(10)
    with relay(), projector(), Background(expire_holds):
        hold_id = place(account_id, SOON_S)
        assert rejected(Withdraw(account_id, Decimal(10))).error.code == "insufficient_funds"
        wait_for(lambda: hold_id in released(), "its release")
        wait_for(lambda: shown() == {hold_id: "expired"}, "the read model")
    assert released() == {hold_id: ("expire_holds", 1)}
    ((held,),) = rows("SELECT state->>'held_minor' FROM events WHERE aggregate_id = %s ORDER BY version DESC LIMIT 1",
                      account_id)  # fmt: skip
    assert held == "0"


def test_what_is_not_due_stays_and_what_has_ended_is_left_alone() -> None:
    account_id = new_account(100)
    later, never, captured, freed = (place(account_id, s) for s in (600, None, SOON_S, SOON_S))
    accepted(CaptureHold(account_id, captured, Decimal(4)))
    project()
    accepted(ReleaseHold(account_id, freed))  # the read model does not know
    wait_until_over(SOON_S)
    release_due()
    assert released() == {freed: ("tester", 1)}
    assert rows("SELECT count(*) FROM refusals") == [(0,)]
    project()
    assert shown() == {later: "held", never: "held", captured: "captured", freed: "released"}
    assert read_model("SELECT moved_minor FROM transfers WHERE transfer_id = %s", captured) == [(400,)]


def test_the_worker_sleeps_until_the_next_deadline_and_no_longer_than_its_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = new_account(100)
    assert release_due() == hold_expiry.POLL_S
    place(account_id, 600)
    project()
    assert release_due() == hold_expiry.POLL_S
    monkeypatch.setattr(hold_expiry, "POLL_S", 3_600)
    assert 500 < release_due() < 600


def test_holds_built_live_are_those_that_a_rebuild_makes() -> None:
    account_id = new_account(100)
    held, captured, freed, _ = (place(account_id, s) for s in (600, None, None, 0.2))
    accepted(CaptureHold(account_id, captured, Decimal(3)))
    project()
    accepted(ReleaseHold(account_id, freed, "expired"))  # it says so, and has not
    wait_until_over(0.3)
    release_due()
    project()
    assert shown()[freed] == "released"
    assert sorted(shown().values()) == ["captured", "expired", "held", "released"]
    with read_model_connection() as connection:
        rebuild.build(connection, by_name("transfers"), lambda *_: None)
        rebuild.switch(connection, by_name("transfers"), require_equal=True)
        rebuild.drop_previous(connection, by_name("transfers"))
    assert shown()[held] == "held"


def test_a_hold_on_a_frozen_account_expires_too() -> None:
    account_id = new_account(10)
    hold_id = place(account_id, 0.2)
    accepted(FreezeAccount(account_id))
    project()
    wait_until_over(0.3)
    release_due()
    assert set(released()) == {hold_id}


def test_two_workers_on_an_old_read_model_release_each_hold_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_expiry, "BATCH_MAX", 7)  # many transactions that can meet
    holds = place_many(150, 0.5)
    project()  # and it stays: both see every hold open for as long as they look
    wait_until_over(0.6)
    with Background(expire_holds), Background(expire_holds):
        wait_for(lambda: len(released()) == 150, "all of them released")
    assert released() == dict.fromkeys(holds, ("expire_holds", 1))
    assert rows("SELECT count(*) FROM refusals") == [(0,)]


def test_a_worker_that_is_killed_at_work_is_continued_by_the_next() -> None:
    holds = place_many(600, 0.5)
    project()
    killed = subprocess.run([*KILLED_AT, "2:after:chronicle.hold_expiry.execute", "expire_holds"], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert len(released()) == 2 * hold_expiry.BATCH_MAX, "it was killed in the middle"
    with process("expire_holds") as second:
        wait_for(lambda: len(released()) == 600, "the rest")
        second.send_signal(signal.SIGTERM)
        assert second.wait(STOP_S_MAX) == 0, "it stops when it is told to"
    assert released() == dict.fromkeys(holds, ("expire_holds", 1))


def test_a_command_whose_commit_was_not_heard_is_not_carried_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill point: the release is committed, the worker has not heard of it."""
    hold_id = place(new_account(10), 0.2)
    project()
    wait_until_over(0.3)
    deaths = []

    def die_once(*arguments: Any, **options: Any) -> Any:
        outcomes = execute(*arguments, **options)
        if not deaths:
            deaths.append(True)
            raise StoreUnavailable("cut off")
        return outcomes

    monkeypatch.setattr(hold_expiry, "execute", die_once)
    worker = HoldExpiry(asyncio.Event())
    with pytest.raises(StoreUnavailable):
        worker.release_due()
    worker.release_due()
    assert released() == {hold_id: ("expire_holds", 1)}


def test_a_store_that_is_away_for_a_while_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = new_account(10)
    now, failures = hold_expiry.ledger.now, []

    def fail_twice() -> datetime:
        if len(failures) < 2:
            failures.append(True)
            raise StoreUnavailable("away")
        return now()

    monkeypatch.setattr(hold_expiry.ledger, "now", fail_twice)
    monkeypatch.setattr(hold_expiry, "POLL_S", 0.05)
    hold_id = place(account_id, 0.2)
    project()
    with Background(expire_holds):
        wait_for(lambda: hold_id in released(), "its release")
    assert len(failures) == 2


def test_money_is_available_again_at_the_deadline_without_any_worker() -> None:
    account_id = new_account(10)
    place(account_id, SOON_S)
    assert rejected(Withdraw(account_id, Decimal(10))).error.code == "insufficient_funds"
    wait_until_over(SOON_S)
    accepted(Withdraw(account_id, Decimal(10)))


def test_an_account_whose_holds_have_expired_is_closed_without_any_worker_and_its_holds_with_it() -> None:
    account_id, other_id = new_account(10), new_account(10)
    ended = {place(account_id, SOON_S, amount) for amount in (4, 5)}
    open_one = place(other_id, 600)
    project()
    accepted(SetOverdraftLimit(account_id, Decimal(10)))
    accepted(SetOverdraftLimit(other_id, Decimal(10)))
    for emptied in (account_id, other_id):
        accepted(Withdraw(emptied, Decimal(10)))
    refused = rejected(CloseAccount(account_id)).error
    assert (refused.code, refused.fields["held"]) == ("account_not_empty", "9.00")
    wait_until_over(SOON_S)
    closed = accepted(CloseAccount(account_id))
    assert [event.event_type for event in closed.events] == ["HoldReleased", "HoldReleased", "AccountClosed"]
    assert rejected(CloseAccount(other_id)).error.code == "account_not_empty"
    release_due()  # the read model still shows them open
    assert released() == dict.fromkeys(ended, ("tester", 1))
    project()
    assert shown() == {**dict.fromkeys(ended, "expired"), open_one: "held"}
    call_command("verify_consistency", stdout=StringIO())
    with read_model_connection() as connection:
        rebuild.build(connection, by_name("transfers"), lambda *_: None)
        rebuild.switch(connection, by_name("transfers"), require_equal=True)
        rebuild.drop_previous(connection, by_name("transfers"))
    sign()
    assert faults(semantic=True) == []
