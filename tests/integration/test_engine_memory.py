"""Deciding on what the process remembers: no read where it is enough, and never a wrong answer where it is not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ledger.domain.commands import Deposit, FreezeAccount, StartTransfer, Transfer, Withdraw
from ledger.engine import remembered
from ledger.engine.execute import execute
from ledger.engine.plan import Plan
from ledger.engine.remembered import Remembered
from ledger.engine.submission import Accepted, Rejected
from ledger.engine.writing import STREAMED_FROM
from ledger.store import event_store
from tests.ledger_world import accepted, deposit, history, new_account, rejected, rows, run, scalar, submission
from tests.proof_world import tamper
from tests.servers import Servers

pytestmark = pytest.mark.usefixtures("database")

Reads = list[list[str]]


def test_what_was_just_written_is_not_read_again(reads: Reads) -> None:
    ann, bob = new_account(10), new_account()
    reads.clear()
    for _ in range(3):
        accepted(Transfer(ann, bob, Decimal(1)), idempotency_key=uuid4().hex)
    outcome = accepted(Deposit(ann, Decimal(1)))
    assert reads == []
    assert [version for version, _, _ in history(ann)] == [1, 2, 3, 4, 5, 6]
    assert outcome.events[0].previous_hash == scalar(
        "SELECT hash FROM events WHERE aggregate_id = %s AND version = 5", ann
    )


def test_the_clock_of_a_remembered_head_is_the_stores_and_never_ahead_of_it(reads: Reads) -> None:
    ann = new_account()
    reads.clear()
    for _ in range(50):
        event = deposit(ann).events[0]
        assert event.recorded_at <= scalar("SELECT clock_timestamp()")
    assert reads == []
    instants = [at for (at,) in rows("SELECT recorded_at FROM events WHERE aggregate_id = %s ORDER BY version", ann)]
    assert instants == sorted(set(instants))


def test_the_store_is_asked_for_its_clock_again_after_a_while(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = new_account()
    reads.clear()
    monkeypatch.setattr(remembered, "CLOCK_NS_MAX", 0)
    deposit(ann)
    assert reads == [[ann]]


def test_a_refusal_is_decided_on_what_the_store_holds(
    reads: Reads, elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    ann = new_account(1)
    elsewhere(lambda: deposit(ann, 10))
    accepted(Withdraw(ann, Decimal(11)))
    assert reads[0] == [ann]
    assert rejected(Withdraw(ann, Decimal(1))).error.code == "insufficient_funds"


def test_a_head_that_somebody_followed_fails_the_append_and_is_read(
    reads: Reads, elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    ann = new_account(1)
    elsewhere(lambda: deposit(ann, 10))
    deposit(ann, 5)
    assert reads == [[ann]]
    assert history(ann) == [(1, "AccountCreated", 0), (2, "MoneyDeposited", 100), (3, "MoneyDeposited", 1100),
                            (4, "MoneyDeposited", 1600)]  # fmt: skip
    deposit(ann, 5)
    assert reads == [[ann]] * 2, "where others write too, heads are read for a while"


def test_an_account_that_a_command_only_looks_at_is_read(
    reads: Reads, elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    ann, bob = new_account(10), new_account()
    deposit(ann)
    elsewhere(lambda: accepted(FreezeAccount(bob, "inquiry")))
    refused = rejected(StartTransfer(ann, bob, Decimal(1)))
    assert refused.error.code == "account_frozen"
    assert any(bob in ids for ids in reads)


@pytest.mark.parametrize("neighbours", [0, 2, STREAMED_FROM])
def test_a_store_that_was_set_back_gets_no_version_that_follows_none(
    stack: Servers, reads: Reads, neighbours: int
) -> None:
    ann, others = new_account(1), [new_account() for _ in range(2)]
    for amount in (2, 3):
        deposit(ann, amount)
    reads.clear()
    tamper(stack, "DELETE FROM events WHERE aggregate_id = %s AND version >= 3", ann)
    # As in a backup of that time; two commands for one version would fail the relay of whoever comes next.
    tamper(stack, "DELETE FROM outbox WHERE command_id NOT IN (SELECT (metadata->>'command_id')::uuid FROM events)")
    ids = [ann, *(others[number % 2] for number in range(neighbours))]
    outcomes = execute([submission(Deposit(id_, Decimal(1))) for id_ in ids])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert reads == [sorted(set(ids))], "the append on what was remembered failed"
    assert [version for version, _, _ in history(ann)] == [1, 2, 3]


def test_a_key_that_was_used_is_answered_as_before_without_having_been_looked_up(reads: Reads) -> None:
    ann, key = new_account(), uuid4().hex
    first = accepted(Deposit(ann, Decimal(1)), idempotency_key=key)
    again = accepted(Deposit(ann, Decimal(1)), idempotency_key=key)
    assert again.replayed
    assert again.events == first.events
    assert len(history(ann)) == 2
    reused = rejected(Deposit(ann, Decimal(2)), idempotency_key=key)
    assert reused.error.code == "idempotency_key_reused"


@pytest.mark.parametrize("neighbours", [2, STREAMED_FROM])
def test_a_refusal_costs_its_call_one_read_and_nobody_else_anything(
    reads: Reads, monkeypatch: pytest.MonkeyPatch, neighbours: int
) -> None:
    ann, bob, cid = (new_account(100) for _ in range(3))
    reads.clear()
    add, decided = Plan.add, list[object]()
    monkeypatch.setattr(Plan, "add", lambda plan, one: (decided.append(one), add(plan, one))[1])
    withdrawals = [Withdraw(bob, Decimal(n)) for n in (200, 300)]
    commands = [*withdrawals, *[Deposit(ann, Decimal(1)) for _ in range(neighbours)], *withdrawals]
    outcomes = execute([submission(command) for command in commands])
    assert [type(o) for o in outcomes] == [Rejected, Rejected, *[Accepted] * neighbours, Rejected, Rejected]
    assert reads == [sorted([ann, bob])], "the store was asked once, for all that the call was decided on"
    assert len(decided) == len(commands), "and what had been decided on memory was not decided again"
    reads.clear()
    for account_id in (ann, cid, bob):
        deposit(account_id)
    assert reads == []


def test_all_or_nothing_that_is_refused_from_memory_writes_the_refusal_alone(reads: Reads) -> None:
    ann, bob = new_account(1), new_account(1)
    reads.clear()
    commands = [Deposit(ann, Decimal(1)), Withdraw(bob, Decimal(2)), Deposit(ann, Decimal(1))]
    outcomes = execute([submission(command) for command in commands], atomic=True)
    assert [o.error.code for o in outcomes if isinstance(o, Rejected)] == [
        "batch_aborted", "insufficient_funds", "batch_aborted",
    ]  # fmt: skip
    assert reads == [sorted([ann, bob])]
    assert (history(ann)[-1][2], history(bob)[-1][2]) == (100, 100)
    assert scalar("SELECT count(*) FROM refusals WHERE command->>'account_id' = %s", bob) == 1


def test_what_memory_would_refuse_is_carried_out_when_the_store_has_moved_on(
    reads: Reads, elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    ann, bob = new_account(1), new_account(1)
    elsewhere(lambda: deposit(ann, 10))
    outcomes = execute([submission(Deposit(bob, Decimal(1))), submission(Withdraw(ann, Decimal(5)))])
    assert [type(outcome) for outcome in outcomes] == [Accepted, Accepted]
    assert reads == [sorted([ann, bob])], "what was read to confirm memory is what the call is then decided on"
    assert (history(ann)[-1][2], history(bob)[-1][2]) == (600, 200)


def test_another_writer_on_one_account_costs_the_others_no_memory(
    reads: Reads, elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    ann, bob = new_account(), new_account()
    elsewhere(lambda: deposit(ann))
    deposit(ann)
    deposit(bob)
    assert reads == [[ann]]


def test_a_repeated_request_that_would_be_refused_today_is_answered_as_it_was(reads: Reads) -> None:
    ann, bob, key = new_account(1), new_account(), uuid4().hex
    first = accepted(Withdraw(ann, Decimal(1)), idempotency_key=key)
    neighbour, again = execute(
        [submission(Deposit(bob, Decimal(1))), submission(Withdraw(ann, Decimal(1)), idempotency_key=key)]
    )
    assert isinstance(neighbour, Accepted)
    assert isinstance(again, Accepted)
    assert (again.replayed, again.command_id) == (True, first.command_id)
    assert scalar("SELECT count(*) FROM refusals WHERE command->>'account_id' = %s", ann) == 0


def test_memory_is_bounded_and_keeps_what_was_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "HEADS_MAX", 3)
    memory, now = Remembered(), scalar("SELECT clock_timestamp()")
    for number in range(5):
        memory.learn({"old": event_store.Head(1), f"id-{number}": event_store.Head(1)}, now)
    assert memory.recall(["old", "id-3", "id-4"]) is not None
    assert memory.recall(["id-2"]) is None
    memory.learn({"old": event_store.Head(7)}, now)
    memory.learn({"old": event_store.Head(6)}, now)
    recalled = memory.recall(["old"])
    assert recalled is not None
    assert recalled.heads["old"].version == 7, "of two threads the later append is the one to keep"


def test_a_rejection_in_a_call_from_memory_leaves_its_neighbours(reads: Reads) -> None:
    ann = new_account(1)
    outcomes = execute([submission(command) for command in (Deposit(ann, Decimal(1)), Withdraw(ann, Decimal(50)),
                                                            Deposit(ann, Decimal(1)))])  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Accepted]
    assert run(Deposit(ann, Decimal(1)))
    assert history(ann)[-1] == (5, "MoneyDeposited", 400)
