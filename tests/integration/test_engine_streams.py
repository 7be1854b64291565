"""Long calls are streamed: one transaction in pieces, on a read or on memory, and whatever stops one leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ledger.domain.commands import Deposit, Transfer
from ledger.engine import writing
from ledger.engine.execute import execute
from ledger.engine.plan import Plan
from ledger.engine.submission import Accepted
from ledger.engine.transaction import execute_in_one_transaction
from ledger.engine.writing import STREAMED_FROM
from ledger.errors import CommitUnknown
from ledger.store import connection as store_connection
from ledger.store.append import Append, AppendStream
from ledger.store.connection import close_pool, connection, pool
from ledger.store.pipeline import Pipeline
from ledger.store.refusals import Refusal
from tests.engines import WRITTEN_BY, postgresql_only
from tests.ledger_world import deposit, history, new_account, scalar, submission
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")

Reads = list[list[str]]


def long_call(source: str, target: str, call: Callable[..., Any] = execute) -> list[Any]:
    found: list[Any] = call([submission(Transfer(source, target, Decimal(1))) for _ in range(STREAMED_FROM + 100)])
    return found


def test_a_long_call_is_one_transaction_and_answers_each_command(reads: Reads) -> None:
    ann, bob = new_account(250), new_account()
    for _ in range(2):  # read, then from memory
        outcomes = long_call(ann, bob)
    accepted_count = [isinstance(outcome, Accepted) for outcome in outcomes].count(True)
    assert accepted_count == 0
    assert history(bob)[-1] == (251, "MoneyDeposited", 25_000)
    assert scalar(f"SELECT count(DISTINCT {WRITTEN_BY}) FROM events WHERE aggregate_id = %s", bob) == 2, (
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
            long_call(ann, bob, execute_in_one_transaction)  # `execute` would look for the culprit
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


@postgresql_only("CockroachDB ends an idle session too, and shows nobody that it has")
def test_a_stream_that_stalls_loses_its_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Refusal(uuid4(), uuid4(), "deposit", {}, "tester", "code", "detail")
    close_pool()
    # Until the pool is closed again, and no longer: a pool opened under it would keep the limit for every later test.
    with monkeypatch.context() as patch:
        patch.setattr(store_connection, "IDLE_MS_MAX", 1_000)
        with AppendStream(scalar("SELECT clock_timestamp()")) as stream:
            stream.send(Append(refusals=[refusal]))
            process = stream._connection._borrowed.info.backend_pid
            wait_for(lambda: not scalar(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {process}"), "its end")
            with pytest.raises(CommitUnknown):
                stream.commit()
        close_pool()
    assert scalar("SELECT count(*) FROM refusals WHERE refusal_id = %s", refusal.refusal_id) == 0
