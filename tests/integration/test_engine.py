"""The engine against a real event store: outcomes, versions, idempotency, contention, time."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ledger.domain.commands import CreateAccount, Deposit, Transfer, Withdraw
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Rejected
from ledger.errors import BatchAborted
from ledger.store import event_store
from ledger.store.recorded import event_id_of, hash_of
from tests.ledger_world import (
    accepted,
    deposit,
    history,
    new_account,
    rejected,
    rows,
    run,
    scalar,
    submission,
    table_sizes,
)

pytestmark = pytest.mark.usefixtures("database")


def test_every_event_carries_the_state_after_it() -> None:
    account_id = new_account(10)
    deposit(account_id, "2.50")
    assert history(account_id) == [(1, "AccountCreated", 0), (2, "MoneyDeposited", 1000), (3, "MoneyDeposited", 1250)]


def test_every_event_is_chained_to_the_one_before_and_hashes_to_its_stored_hash() -> None:
    account_id = new_account(10)
    deposit(account_id)
    ids = [row[0] for row in rows("SELECT event_id FROM events WHERE aggregate_id = %s ORDER BY version", account_id)]
    found = event_store.read_events(ids)
    previous_hash = bytes(32)
    for event_id in ids:
        event = found[event_id]
        assert event.previous_hash == previous_hash
        assert hash_of(event) == event.hash
        previous_hash = event.hash


def test_a_transfer_is_one_command_with_one_instant_on_both_accounts() -> None:
    source, target = new_account(10), new_account(0)
    outcome = accepted(Transfer(source, target, Decimal(4)))
    out, into = outcome.events
    assert (out.aggregate_id, into.aggregate_id) == (source, target)
    assert out.recorded_at == into.recorded_at
    assert out.data["transfer_id"] == into.data["transfer_id"] == str(outcome.command_id)
    assert [e.event_id for e in outcome.events] == [event_id_of(outcome.command_id, i) for i in (0, 1)]


def test_recorded_at_rises_from_command_to_command_within_one_call() -> None:
    account_id = new_account(0)
    outcomes = execute([submission(Deposit(account_id, Decimal(1))) for _ in range(100)])
    instants = [o.events[0].recorded_at for o in outcomes if isinstance(o, Accepted)]
    assert len(instants) == 100
    assert all(a < b for a, b in itertools.pairwise(instants))


def test_a_refusal_does_not_stop_its_neighbours() -> None:
    account_id = new_account(1)
    outcomes = execute([
        submission(Withdraw(account_id, Decimal(2))), submission(Deposit(account_id, Decimal(1))),
        submission(Withdraw(account_id, Decimal(2))),
    ])  # fmt: skip
    assert [type(o) for o in outcomes] == [Rejected, Accepted, Accepted]
    assert history(account_id)[-1][2] == 0


def test_all_or_nothing_writes_nothing_when_one_is_refused() -> None:
    account_id = new_account(1)
    before = table_sizes()
    outcomes = execute(
        [submission(Deposit(account_id, Decimal(1))), submission(Withdraw(account_id, Decimal(9)))], atomic=True
    )
    assert [o.error.code for o in outcomes if isinstance(o, Rejected)] == ["batch_aborted", "insufficient_funds"]
    # The refusal, and the answer of the command that was refused, in case that nobody hears it now.
    on_record = {table: before[table] + 1 for table in ("refusals", "idempotency_keys")}
    assert table_sizes() == before | on_record


def test_an_aborted_batch_does_not_call_a_command_done_that_stands_in_it_twice() -> None:
    account_id = new_account(1)
    twice = [submission(Deposit(account_id, Decimal(1)), idempotency_key="twice") for _ in range(2)]
    first, again, _ = execute([*twice, submission(Withdraw(account_id, Decimal(9)))], atomic=True)
    for outcome in (first, again):
        assert isinstance(outcome, Rejected)
        assert isinstance(outcome.error, BatchAborted)
    assert history(account_id)[-1][2] == 100


def test_a_dry_run_gives_the_same_outcome_and_writes_nothing() -> None:
    account_id = new_account(1)
    before = table_sizes()
    (outcome,) = execute([submission(Deposit(account_id, Decimal(1)), idempotency_key="dry")], dry_run=True)
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].state["balance_minor"] == 200
    assert table_sizes() == before


def test_a_rule_refusal_is_recorded_with_who_what_and_why() -> None:
    account_id = new_account(1)
    rejected(Withdraw(account_id, Decimal(2)), actor="olga")
    row = rows("SELECT actor, code, command_type, command->>'amount' FROM refusals WHERE command->>'account_id' = %s",
               account_id)  # fmt: skip
    assert row == [("olga", "insufficient_funds", "withdraw", "2")]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Deposit("no-such-account", Decimal(1)), "account_not_found"),
        (CreateAccount("x", "Ann", "ZZZ"), "unknown_currency"),
        (CreateAccount("x", "Ann", "JPY", Decimal("0.5")), "too_many_decimals"),
    ],
)
def test_malformed_and_unknown_leave_no_trace(command: Deposit | CreateAccount, code: str) -> None:
    before = table_sizes()
    assert rejected(command, idempotency_key=uuid4().hex).error.code == code
    assert table_sizes() == before


def test_a_stale_expected_version_is_a_conflict_and_leaves_no_trace() -> None:
    account_id = new_account(1)
    before = table_sizes()
    outcome = rejected(Deposit(account_id, Decimal(1)), expected_version=1)
    assert (outcome.error.code, outcome.error.fields["version"]) == ("version_conflict", 2)
    assert table_sizes() == before
    accepted(Deposit(account_id, Decimal(1)), expected_version=2)


def test_the_same_key_and_request_get_the_first_answer_again() -> None:
    account_id, key = new_account(0), uuid4().hex
    first = accepted(Deposit(account_id, Decimal("1.0")), idempotency_key=key)
    again = accepted(Deposit(account_id, Decimal("1.00")), idempotency_key=key)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.events == first.events
    assert len(history(account_id)) == 2


def test_a_refusal_is_remembered_under_its_key_although_the_money_has_come() -> None:
    account_id, key = new_account(0), uuid4().hex
    first = rejected(Withdraw(account_id, Decimal(1)), idempotency_key=key)
    deposit(account_id, 5)
    again = rejected(Withdraw(account_id, Decimal(1)), idempotency_key=key)
    assert again.replayed
    assert (again.error.code, again.error.status, again.error.fields) == (first.error.code, 422, first.error.fields)


def test_requests_that_differ_in_a_decimal_far_behind_are_not_the_same() -> None:
    account_id, key = new_account(0), uuid4().hex
    accepted(Deposit(account_id, Decimal(5)), idempotency_key=key)
    other = Deposit(account_id, Decimal("5.000000000000000000000000000000001"))
    assert rejected(other, idempotency_key=key).error.code == "idempotency_key_reused"


def test_the_same_key_with_another_request_is_a_conflict() -> None:
    account_id, key = new_account(0), uuid4().hex
    accepted(Deposit(account_id, Decimal(1)), idempotency_key=key)
    assert rejected(Deposit(account_id, Decimal(2)), idempotency_key=key).error.code == "idempotency_key_reused"
    accepted(Deposit(account_id, Decimal(2)), idempotency_key=key, actor="somebody else")


@pytest.mark.parametrize(
    "about", [{"expected_version": 1}, {"effective_at": datetime(2026, 1, 31, tzinfo=UTC)}], ids=str
)
def test_what_surrounds_a_command_belongs_to_the_request_of_a_key(about: dict[str, Any]) -> None:
    account_id, key = new_account(0), uuid4().hex
    accepted(Deposit(account_id, Decimal(1)), idempotency_key=key)
    assert (
        rejected(Deposit(account_id, Decimal(1)), idempotency_key=key, **about).error.code == "idempotency_key_reused"
    )


def test_the_same_key_twice_in_one_call_takes_effect_once() -> None:
    account_id, key = new_account(0), uuid4().hex
    outcomes = execute([submission(Deposit(account_id, Decimal(1)), idempotency_key=key) for _ in range(3)])
    assert [o.replayed for o in outcomes] == [False, True, True]
    assert len(history(account_id)) == 2


def test_the_same_key_from_many_threads_takes_effect_once() -> None:
    account_id, key = new_account(0), uuid4().hex
    barrier = threading.Barrier(8)

    def deposit_once(_: int) -> bool:
        barrier.wait()
        return accepted(Deposit(account_id, Decimal(1)), idempotency_key=key).replayed

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(deposit_once, range(8))) == [False] + [True] * 7
    assert len(history(account_id)) == 2


def test_many_writers_on_one_account_lose_nothing_and_leave_no_gap() -> None:
    account_id = new_account(0)

    def work(_: int) -> int:
        return sum(isinstance(run(Deposit(account_id, Decimal(1))), Accepted) for _ in range(10))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(work, range(8))) == 80
    assert [version for version, _, _ in history(account_id)] == list(range(1, 82))
    assert history(account_id)[-1][2] == 8000


def test_writers_that_would_overdraw_together_are_refused_not_overdrawn() -> None:
    account_id = new_account(10)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: run(Withdraw(account_id, Decimal(3))), range(8)))
    assert sum(isinstance(o, Accepted) for o in outcomes) == 3
    assert history(account_id)[-1][2] == 100


def test_batches_that_meet_on_the_same_accounts_do_not_deadlock() -> None:
    accounts = [new_account(1000) for _ in range(4)]

    def work(number: int) -> int:
        order = accounts if number % 2 else accounts[::-1]
        pairs = list(itertools.pairwise(order))
        outcomes = execute([submission(Transfer(a, b, Decimal(1))) for a, b in pairs * 5])
        return sum(isinstance(o, Accepted) for o in outcomes)

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(work, range(12))) == 12 * 15
    assert sum(history(account_id)[-1][2] for account_id in accounts) == 400_000


def test_accepted_commands_wait_in_the_outbox_with_what_the_relay_must_know() -> None:
    outcome = accepted(CreateAccount(f"acc-{uuid4().hex}", "Ann", "USD", Decimal(1)))
    (references,) = rows("SELECT events FROM outbox WHERE command_id = %s", outcome.command_id)[0]
    assert [r[0] for r in references] == [str(e.event_id) for e in outcome.events]
    assert [r[4] for r in references] == [e.hash.hex() for e in outcome.events]
    assert scalar("SELECT count(*) FROM journal WHERE command_id = %s", outcome.command_id) == 0
