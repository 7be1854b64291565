"""Reversals against a real event store: found by whatever names them, once each, however many ask at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest

from ledger.domain.commands import CaptureHold, Deposit, FreezeAccount, PlaceHold, Reverse, Transfer, Withdraw
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Rejected
from ledger.store import event_store
from ledger.store.recorded import hash_of
from ledger.subjects.texts import open_all
from tests.ledger_world import accepted, deposit, history, new_account, rejected, rows, run, scalar, submission

pytestmark = pytest.mark.usefixtures("database")


def balance(account_id: str) -> int:
    return history(account_id)[-1][2]


def back(outcome: Accepted, amount: str | None = None, *, force: bool = False) -> Reverse:
    part = None if amount is None else Decimal(amount)
    return Reverse("mistaken", command_id=str(outcome.command_id), amount=part, force=force)


def test_a_transfer_is_reversed_by_its_command_or_by_either_of_its_events() -> None:
    for name in range(3):
        source, target = new_account(10), new_account(0)
        moved = accepted(Transfer(source, target, Decimal(4)))
        by_event = {"event_id": str(moved.events[name].event_id)} if name < 2 else {"command_id": str(moved.command_id)}
        outcome = accepted(Reverse("mistaken", **by_event))  # type: ignore[arg-type]
        assert (balance(source), balance(target)) == (1000, 0)
        assert [e.event_type for e in outcome.events] == ["MoneyDeposited", "MoneyWithdrawn", "CommandReversed"]
        assert [e.data["reverses"] for e in outcome.events[:2]] == [str(e.event_id) for e in moved.events]
        assert [e.data["transfer_id"] for e in outcome.events[:2]] == [str(moved.command_id)] * 2
        last = outcome.events[-1]
        assert (last.aggregate_type, last.aggregate_id) == ("reversal", f"reversal:{moved.command_id}")
        assert last.state == {"currency": "USD", "original_minor": 400, "reversed_minor": 400}


def test_parts_are_taken_back_until_nothing_is_left() -> None:
    account_id = new_account(0)
    paid = deposit(account_id, 10)
    accepted(back(paid, "2.50"))
    accepted(back(paid, "2.50"))
    assert rejected(back(paid, "5.01")).error.code == "reversal_exceeded"
    assert accepted(back(paid)).events[-1].version == 3
    assert rejected(back(paid)).error.code == "already_reversed"
    assert balance(account_id) == 0


def test_what_was_captured_of_a_hold_is_put_back() -> None:
    account_id = new_account(10)
    hold = accepted(PlaceHold(account_id, Decimal(5)))
    taken = accepted(CaptureHold(account_id, str(hold.command_id), Decimal(3)))
    assert rejected(back(hold)).error.code == "nothing_to_reverse"
    accepted(back(taken))
    assert balance(account_id) == 1000


def test_a_reversal_is_not_reversed_and_what_never_was_is_not_found() -> None:
    undone = accepted(back(deposit(new_account(0), 1)))
    assert rejected(back(undone)).error.code == "reversal_of_reversal"
    assert rejected(Reverse("mistaken", event_id=str(undone.events[-1].event_id))).error.code == "reversal_of_reversal"
    for named in ({"command_id": str(uuid4())}, {"event_id": str(uuid4())}):
        assert rejected(Reverse("mistaken", **named)).error.code == "original_not_found"


def test_money_that_is_gone_is_not_taken_back_unless_it_is_forced() -> None:
    account_id = new_account(0)
    paid = deposit(account_id, 10)
    accepted(Withdraw(account_id, Decimal(4)))
    refused = rejected(back(paid)).error
    assert (refused.code, refused.fields["available"], refused.fields["required"]) == (
        "insufficient_funds", "6.00", "10.00")  # fmt: skip
    recorded = scalar("SELECT command FROM refusals WHERE command->>'command_id' = %s", str(paid.command_id))
    (recorded,) = open_all([recorded])
    assert recorded == {
        "reason": "mistaken",
        "event_id": None,
        "command_id": str(paid.command_id),
        "amount": None,
        "force": False,
    }
    forced = accepted(back(paid, force=True))
    assert balance(account_id) == -400
    assert forced.events[-1].data["is_forced"] is True
    assert rejected(Withdraw(account_id, Decimal("0.01"))).error.code == "insufficient_funds"


def test_force_does_not_move_money_of_a_frozen_account() -> None:
    account_id = new_account(0)
    paid = deposit(account_id, 10)
    accepted(FreezeAccount(account_id))
    assert rejected(back(paid, force=True)).error.code == "account_frozen"


def test_a_repeated_reversal_is_answered_and_not_done_again() -> None:
    account_id = new_account(10)
    paid, key = deposit(account_id, 5), uuid4().hex
    first = accepted(back(paid, "1"), idempotency_key=key)
    again = run(back(paid, "1"), idempotency_key=key)
    assert isinstance(again, Accepted)
    assert (again.replayed, again.events) == (True, first.events)
    other = run(back(paid, "2"), idempotency_key=key)
    assert isinstance(other, Rejected)
    assert other.error.code == "idempotency_key_reused"
    assert balance(account_id) == 1400


def test_reversals_in_one_call_see_each_other() -> None:
    account_id = new_account(0)
    paid = deposit(account_id, 10)
    outcomes = execute([submission(back(paid, "6")), submission(back(paid, "6")), submission(back(paid, "4"))])
    assert [type(o) for o in outcomes] == [Accepted, Rejected, Accepted]
    assert balance(account_id) == 0


def test_many_at_once_never_take_back_more_than_there_was() -> None:
    account_id = new_account(1000)
    paid, start = deposit(account_id, 10), threading.Barrier(8)

    def take_back(_: int) -> list[bool]:
        start.wait(10)
        return [isinstance(run(back(paid, "0.70")), Accepted) for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        taken = sum(sum(done) for done in pool.map(take_back, range(8)))
    assert taken == 14, "fourteen times 0.70 fit into 10.00"
    assert balance(account_id) == 100_000 + 1_000 - 14 * 70
    versions = rows("SELECT version FROM events WHERE aggregate_id = %s ORDER BY 1", f"reversal:{paid.command_id}")
    assert versions == [(number,) for number in range(1, 15)]


def test_the_events_of_a_reversal_hash_to_what_is_stored() -> None:
    outcome = accepted(back(deposit(new_account(0), 1)))
    for event in event_store.read_events([e.event_id for e in outcome.events]).values():
        assert hash_of(event) == event.hash


def test_a_deposit_of_the_same_call_is_not_there_yet() -> None:
    account_id = new_account(0)
    paying = submission(Deposit(account_id, Decimal(1)))
    _, refused = execute([paying, submission(Reverse("mistaken", command_id=str(paying.command_id)))])
    assert isinstance(refused, Rejected)
    assert refused.error.code == "original_not_found"
