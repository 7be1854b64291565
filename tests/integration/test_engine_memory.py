"""Deciding on what the process remembers: no read where it is enough, and never a wrong answer where it is not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ledger.domain.commands import Deposit, FreezeAccount, StartTransfer, Transfer, Withdraw
from ledger.engine import remembered, writing
from ledger.engine.execute import execute
from ledger.engine.plan import Plan
from ledger.engine.remembered import Remembered
from ledger.engine.submission import Accepted, Rejected
from ledger.engine.writing import STREAMED_FROM
from ledger.errors import CommitUnknown
from ledger.store import connection as store_connection
from ledger.store import event_store
from ledger.store.append import Append, AppendStream, RefusalRow
from ledger.store.connection import close_pool, connection, pool
from ledger.store.pipeline import Pipeline
from tests.ledger_world import accepted, deposit, history, new_account, rejected, rows, run, scalar, submission
from tests.proof_world import tamper
from tests.servers import Servers
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")

Reads = list[list[str]]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """What the engine read from here on, by a memory that begins empty."""
    seen: Reads = []
    read = event_store.read

    def noted(aggregate_ids: Any, *others: Any) -> event_store.Snapshot:
        seen.append(list(aggregate_ids))
        return read(aggregate_ids, *others)

    monkeypatch.setattr(event_store, "read", noted)
    monkeypatch.setattr(writing, "REMEMBERED", Remembered())
    return seen


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, reads: Reads) -> Callable[[Callable[[], Any]], Any]:
    """Does something as another process would, which remembers other things."""

    def done(act: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(writing, "REMEMBERED", Remembered())
            result = act()
        reads.clear()
        return result

    return done


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


def long_call(source: str, target: str) -> list[Any]:
    return execute([submission(Transfer(source, target, Decimal(1))) for _ in range(STREAMED_FROM + 100)])


def test_a_long_call_is_one_transaction_and_answers_each_command(reads: Reads) -> None:
    ann, bob = new_account(250), new_account()
    for _ in range(2):  # read, then from memory
        outcomes = long_call(ann, bob)
    accepted_count = [isinstance(outcome, Accepted) for outcome in outcomes].count(True)
    assert accepted_count == 0
    assert history(bob)[-1] == (251, "MoneyDeposited", 25_000)
    assert scalar("SELECT count(DISTINCT xmin::text) FROM events WHERE aggregate_id = %s", bob) == 2, (
        "created, and paid"
    )
    assert scalar("SELECT count(*) FROM refusals WHERE command->>'from_account_id' = %s", ann) == 350


def test_a_long_call_on_remembered_heads_reads_nothing(reads: Reads) -> None:
    ann, bob = new_account(10_000), new_account()
    reads.clear()
    for _ in range(2):
        assert all(isinstance(outcome, Accepted) for outcome in long_call(ann, bob))
    assert reads == []
    assert history(bob)[-1] == (601, "MoneyDeposited", 60_000)


def test_a_long_call_whose_heads_moved_is_written_once(
    reads: Reads, elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    ann, bob = new_account(10_000), new_account()
    elsewhere(lambda: deposit(bob, 1))
    assert all(isinstance(outcome, Accepted) for outcome in long_call(ann, bob))
    assert history(bob)[-1] == (302, "MoneyDeposited", 30_100)
    assert [version for version, _, _ in history(ann)] == list(range(1, 303))


def test_streams_that_meet_in_opposite_orders_all_end(reads: Reads) -> None:
    accounts = [new_account(10_000) for _ in range(300)]
    failures: list[object] = []

    def write(ids: list[str]) -> None:
        for _ in range(4):
            outcomes = execute([submission(Deposit(id_, Decimal(1))) for id_ in ids])
            failures.extend(outcome for outcome in outcomes if not isinstance(outcome, Accepted))

    writers = [threading.Thread(target=write, args=(ids,)) for ids in (accounts, accounts[::-1], accounts)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
    assert failures == []
    assert {history(id_)[-1] for id_ in accounts} == {(14, "MoneyDeposited", 1_001_200)}


def test_a_stream_that_is_not_committed_leaves_nothing_and_its_connection_is_used_again(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = new_account(10_000), new_account()
    add, calls = Plan.add, iter(range(1_000))

    def falls_over(plan: Plan, one: Any) -> Any:
        if next(calls) == 250:
            raise ZeroDivisionError("a defect")
        return add(plan, one)

    bad = pool().get_stats().get("returns_bad", 0)
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "add", falls_over)
        with pytest.raises(ZeroDivisionError):
            long_call(ann, bob)
    assert len(history(bob)) == 1
    deposit(bob)
    assert pool().get_stats().get("returns_bad", 0) == bad
    with connection() as conn:
        assert conn.info.transaction_status.name == "IDLE"


def test_a_stream_that_cannot_be_undone_gives_its_connection_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    close_pool()
    monkeypatch.setattr(Pipeline, "abandon", interrupted)
    with pytest.raises(KeyboardInterrupt), AppendStream(scalar("SELECT clock_timestamp()")):
        pass
    wait_for(lambda: pool().get_stats()["pool_available"] == pool().get_stats()["pool_size"], "all in the pool")
    with connection() as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_long_call_of_all_or_nothing_is_decided_before_anything_is_sent(
    reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = new_account()
    reads.clear()
    monkeypatch.setattr(writing, "AppendStream", None)
    outcomes = execute([submission(Deposit(ann, Decimal(1))) for _ in range(STREAMED_FROM)], atomic=True)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert reads == []


def test_a_stream_that_stalls_loses_its_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = RefusalRow(uuid4(), uuid4(), "deposit", {}, "tester", "code", "detail")
    close_pool()
    # Until the pool is closed again, and no longer: a pool opened under it would keep the limit for every later test.
    with monkeypatch.context() as patch:
        patch.setattr(store_connection, "IDLE_MS_MAX", 200)
        with AppendStream(scalar("SELECT clock_timestamp()")) as stream:
            stream.send(Append(refusals=[refusal]))
            process = stream._connection._borrowed.info.backend_pid
            wait_for(lambda: not scalar(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {process}"), "its end")
            with pytest.raises(CommitUnknown):
                stream.commit()
        close_pool()
    assert scalar("SELECT count(*) FROM refusals WHERE refusal_id = %s", refusal.refusal_id) == 0


def test_a_rejection_in_a_call_from_memory_leaves_its_neighbours(reads: Reads) -> None:
    ann = new_account(1)
    outcomes = execute([submission(command) for command in (Deposit(ann, Decimal(1)), Withdraw(ann, Decimal(50)),
                                                            Deposit(ann, Decimal(1)))])  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [Accepted, Rejected, Accepted]
    assert run(Deposit(ann, Decimal(1)))
    assert history(ann)[-1] == (5, "MoneyDeposited", 400)
