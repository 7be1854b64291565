"""A command commits within 5 s of its recorded_at or not at all, whatever it was that took long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from ledger.domain.commands import Deposit
from ledger.engine import transaction
from ledger.engine.execute import execute
from ledger.engine.plan import Plan
from ledger.engine.sealing import Sealer
from ledger.errors import Busy, TooLate
from ledger.store import event_store
from ledger.store.append import AppendStream, append
from ledger.store.connection import dedicated_connection
from tests.engines import waiting_for_locks
from tests.ledger_world import NEXT_VERSION, new_account, scalar, submission, table_sizes
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")


def test_a_command_that_would_commit_too_late_is_rolled_back_by_the_server() -> None:
    account_id = new_account(0)
    snapshot = event_store.read([account_id])
    plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=False)
    plan.add(submission(Deposit(account_id, Decimal(1)), idempotency_key=uuid4().hex))
    before = table_sizes()
    with pytest.raises(TooLate):
        append(plan.rows, snapshot.now - 2 * event_store.FINAL_AFTER)
    assert table_sizes() == before
    append(plan.rows, snapshot.now)


@pytest.mark.parametrize("deposits", [1, 3], ids=["a lone command", "a batch"])
def test_a_command_whose_events_waited_too_long_for_another_writer_is_rolled_back(deposits: int) -> None:
    account_id = new_account(0)
    snapshot = event_store.read([account_id])
    plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=False)
    for _ in range(deposits):
        plan.add(submission(Deposit(account_id, Decimal(1)), idempotency_key=uuid4().hex))
    before = table_sizes()
    # Time enough to begin; what makes it late is the other writer.
    deadline = snapshot.now + timedelta(seconds=2)
    with dedicated_connection() as other, ThreadPoolExecutor(1) as thread:
        with other.transaction(force_rollback=True):
            other.execute(NEXT_VERSION, (account_id,))
            appended = thread.submit(append, plan.rows, deadline - event_store.FINAL_AFTER)
            wait_for(lambda: appended.done() or scalar("SELECT clock_timestamp()") > deadline, "the deadline")
            assert not appended.done(), "it waits for the version that the other writer has taken"
        with pytest.raises(TooLate):
            appended.result()
    assert table_sizes() == before


def test_a_stream_that_commits_too_late_is_rolled_back_though_its_pieces_were_in_time() -> None:
    account_id = new_account(0)
    snapshot = event_store.read([account_id])
    plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=False)
    plan.add(submission(Deposit(account_id, Decimal(1))))
    before = table_sizes()
    deadline = snapshot.now + timedelta(seconds=1)
    with AppendStream(deadline - event_store.FINAL_AFTER) as stream:
        stream.send(plan.rows.take())
        wait_for(lambda: scalar("SELECT clock_timestamp()") > deadline, "the deadline")
        with pytest.raises(TooLate):
            stream.commit()
    assert table_sizes() == before


def test_a_call_that_is_always_too_late_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = new_account(0)
    monkeypatch.setattr(event_store, "FINAL_AFTER", timedelta(seconds=-1))
    monkeypatch.setattr(transaction, "RETRY_S_MAX", 0.1)
    before = table_sizes()
    with pytest.raises(Busy, match="fewer commands in one call"):
        execute([submission(Deposit(account_id, Decimal(1)))])
    assert table_sizes() == before


def test_an_append_that_waited_tells_the_time_after_it_was_written_not_before() -> None:
    account_id = new_account(0)
    snapshot = event_store.read([account_id])
    plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=False)
    plan.add(submission(Deposit(account_id, Decimal(1))))
    with dedicated_connection() as other, ThreadPoolExecutor(1) as thread:
        with other.transaction(force_rollback=True):
            other.execute(NEXT_VERSION, (account_id,))
            appended = thread.submit(append, plan.rows, snapshot.now)
            wait_for(lambda: waiting_for_locks() > 0, "an append that waits")
            released_at = scalar("SELECT clock_timestamp()")
        told_at = appended.result()
    assert released_at < told_at <= scalar("SELECT clock_timestamp()"), "the next command's recorded_at follows from it"
