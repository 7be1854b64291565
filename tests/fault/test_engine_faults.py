"""The connection to the event store breaks at every point of an append: nothing is lost and nothing doubled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

import pytest
from psycopg import errors

from ledger.domain.commands import Deposit, Transfer, Withdraw
from ledger.engine import transaction
from ledger.engine.execute import execute
from ledger.engine.plan import Plan
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Accepted, Rejected
from ledger.engine.writing import STREAMED_FROM
from ledger.errors import StoreConflict
from ledger.store import event_store
from ledger.store.append import append
from ledger.store.connection import connection
from ledger.store.event_store import Snapshot
from ledger.store.history import head_version
from ledger.store.prepared import ATTEMPTS_MAX
from tests.fault.proxy import Fault, FaultyServer, faulty_event_store, is_append
from tests.ledger_world import history, new_account, rows, run, scalar, submission


@pytest.fixture
def faulty(database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with faulty_event_store(monkeypatch) as server:
        yield server


def once(fault: Fault) -> object:
    """Return a rule that breaks the first append and no other."""
    remaining = [fault]
    return lambda request: remaining.pop() if is_append(request) and remaining else None


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("key", [None, "key"])
def test_a_command_takes_effect_exactly_once_whatever_breaks(
    faulty: FaultyServer, fault: Fault, key: str | None
) -> None:
    account_id = new_account(10)
    faulty.fault_for = once(fault)  # type: ignore[assignment]
    outcome = run(Deposit(account_id, Decimal(5)), idempotency_key=key and f"{account_id}-{key}")
    assert faulty.injected == [fault], "the fault must have happened, or this test shows nothing"
    assert isinstance(outcome, Accepted)
    assert [balance for _, _, balance in history(account_id)] == [0, 1000, 1500]
    assert [e.version for e in outcome.events] == [3]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_batch_takes_effect_exactly_once_whatever_breaks(faulty: FaultyServer, fault: Fault) -> None:
    source, target = new_account(100), new_account(0)
    faulty.fault_for = once(fault)  # type: ignore[assignment]
    outcomes = execute([submission(Transfer(source, target, Decimal(1))) for _ in range(50)])
    assert faulty.injected == [fault]
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert history(source)[-1] == (52, "MoneyWithdrawn", 5000)
    assert history(target)[-1] == (51, "MoneyDeposited", 5000)


def nth(fault: Fault, number: int, name: bytes) -> object:
    """Return a rule that breaks the n-th request, counted from 0, that executes a statement of a name."""
    countdown = [number]

    def rule(request: bytes) -> Fault | None:
        if b"\0" + name in request and b"\0SELECT" not in request:
            countdown[0] -= 1
            return fault if countdown[0] == -1 else None
        return None

    return rule


def test_a_read_that_met_writers_is_carried_out_again(faulty: FaultyServer) -> None:
    account_id = new_account(10)
    remaining = [Fault.SERIALIZATION_FAILURE] * 3
    faulty.fault_for = lambda request: remaining.pop() if b"SELECT version" in request and remaining else None
    assert head_version(account_id) == 2
    assert len(faulty.injected) == 3


def test_a_read_that_always_meets_writers_is_given_up(faulty: FaultyServer) -> None:
    faulty.fault_for = lambda request: Fault.SERIALIZATION_FAILURE if b"SELECT version" in request else None
    with pytest.raises(StoreConflict):
        head_version("nobody")
    assert len(faulty.injected) == ATTEMPTS_MAX


def test_a_statement_within_a_transaction_is_not_tried_again_by_itself(faulty: FaultyServer) -> None:
    faulty.fault_for = lambda request: Fault.SERIALIZATION_FAILURE if b"SELECT 2" in request else None
    with connection() as conn:
        conn.execute("BEGIN")
        with pytest.raises(errors.SerializationFailure):
            conn.execute("SELECT 2")
        conn.execute("ROLLBACK")
    assert faulty.injected == [Fault.SERIALIZATION_FAILURE]


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_DURING, Fault.CUT_AFTER])
@pytest.mark.parametrize(("number", "name"), [(0, b"append_"), (1, b"append_"), (4, b"append_"), (0, b"commit")])
def test_a_streamed_call_takes_effect_exactly_once_wherever_it_breaks(
    faulty: FaultyServer, fault: Fault, number: int, name: bytes
) -> None:
    source, target = new_account(1_000), new_account(0)
    faulty.fault_for = nth(fault, number, name)  # type: ignore[assignment]
    outcomes = execute([submission(Transfer(source, target, Decimal(1))) for _ in range(STREAMED_FROM + 100)])
    assert faulty.injected == [fault], "five pieces and a COMMIT; one of them broke"
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    sent = STREAMED_FROM + 100
    assert history(source)[-1] == (2 + sent, "MoneyWithdrawn", 100 * (1_000 - sent))
    assert history(target)[-1] == (1 + sent, "MoneyDeposited", 100 * sent)
    assert scalar("SELECT count(*) FROM outbox WHERE command_id = ANY(%s)", [o.command_id for o in outcomes]) == sent  # type: ignore[union-attr]


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("key", [None, "key"])
def test_a_refusal_is_on_record_once_whatever_breaks(faulty: FaultyServer, fault: Fault, key: str | None) -> None:
    account_id = new_account(10)
    faulty.fault_for = once(fault)  # type: ignore[assignment]
    outcome = run(Withdraw(account_id, Decimal(11)), idempotency_key=key and f"{account_id}-{key}")
    assert faulty.injected == [fault], "the fault must have happened, or this test shows nothing"
    assert isinstance(outcome, Rejected)
    assert outcome.error.code == "insufficient_funds"
    on_record = rows("SELECT code FROM refusals WHERE command->>'account_id' = %s", account_id)
    assert on_record == [("insufficient_funds",)]


@pytest.mark.parametrize("atomic", [False, True], ids=["independent", "atomic"])
@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("neighbours", [0, 1])
def test_a_refusal_that_nobody_heard_stands_though_the_money_has_come(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, atomic: bool, key: str | None, neighbours: int
) -> None:
    account_id, others = new_account(10), [new_account() for _ in range(neighbours)]
    faulty.fault_for = once(Fault.CUT_AFTER)  # type: ignore[assignment]

    def while_it_waits(*_: float) -> float:
        monkeypatch.setattr(transaction.random, "uniform", lambda *_: 0.0)
        run(Deposit(account_id, Decimal(100)))
        return 0.0

    monkeypatch.setattr(transaction.random, "uniform", while_it_waits)
    withdrawal = submission(Withdraw(account_id, Decimal(11)), idempotency_key=key and f"{account_id}-{key}")
    *_, outcome = execute([*(submission(Deposit(other, Decimal(1))) for other in others), withdrawal], atomic=atomic)
    assert faulty.injected == [Fault.CUT_AFTER]
    assert history(account_id)[-1] == (3, "MoneyDeposited", 11_000), "the money came before the second attempt"
    assert isinstance(outcome, Rejected)
    assert not outcome.replayed or key
    assert (outcome.error.code, outcome.error.status) == ("insufficient_funds", 422)
    assert (outcome.error.fields["available"], outcome.error.fields["required"]) == ("10.00", "11.00")
    assert len(rows("SELECT 1 FROM refusals WHERE command_id = %s", withdrawal.command_id)) == 1
    assert [len(history(other)) for other in others] == [1 if atomic else 2] * neighbours


@pytest.mark.parametrize("atomic", [False, True], ids=["independent", "atomic"])
@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("first", ["refused", "accepted"])
def test_of_an_attempt_that_refuses_and_one_that_accepts_one_is_written(
    database: None, atomic: bool, key: str | None, first: str
) -> None:
    """The first is on its way still when the second is decided, as after a connection that broke."""
    account_id = new_account(10)
    withdrawal = submission(Withdraw(account_id, Decimal(11)), idempotency_key=key and f"{account_id}-{key}")

    def planned(*, is_unheard: bool) -> tuple[Plan, Snapshot]:
        snapshot = event_store.read([account_id])
        plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=atomic, is_unheard=is_unheard)
        plan.add(withdrawal)
        plan.finish()
        return plan, snapshot

    refusing = planned(is_unheard=False)
    run(Deposit(account_id, Decimal(100)))
    accepting = planned(is_unheard=True)
    assert [type(plan.outcomes[0]) for plan, _ in (refusing, accepting)] == [Rejected, Accepted]
    winner, loser = (refusing, accepting) if first == "refused" else (accepting, refusing)
    append(winner[0].rows, winner[1].now)
    with pytest.raises(StoreConflict):
        append(loser[0].rows, loser[1].now)
    on_record = scalar("SELECT count(*) FROM refusals WHERE command_id = %s", withdrawal.command_id)
    assert (on_record, len(history(account_id))) == ((1, 3) if first == "refused" else (0, 4))


def test_a_long_run_of_random_faults_loses_and_doubles_nothing(faulty: FaultyServer) -> None:
    chance = random.Random(20260131)
    accounts = [new_account(0) for _ in range(3)]
    faulty.fault_for = lambda request: (
        chance.choice(list(Fault)) if is_append(request) and chance.random() < 0.3 else None
    )
    expected = dict.fromkeys(accounts, 0)
    for number in range(200):
        account_id = chance.choice(accounts)
        outcome = run(Deposit(account_id, Decimal(number + 1)))
        assert isinstance(outcome, Accepted)
        expected[account_id] += (number + 1) * 100
    assert len(faulty.injected) > 30
    for account_id in accounts:
        versions = [version for version, _, _ in history(account_id)]
        assert versions == list(range(1, len(versions) + 1))
        assert history(account_id)[-1][2] == expected[account_id]
    commands = rows("SELECT DISTINCT metadata->>'command_id' FROM events WHERE aggregate_id = ANY(%s)", accounts)
    unordered = scalar("SELECT count(*) FROM outbox WHERE command_id = ANY(%s::uuid[])", [c for (c,) in commands])
    assert unordered == len(commands) == 203, "every command is handed to the relay exactly once"
