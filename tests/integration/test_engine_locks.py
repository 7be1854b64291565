"""The locks of an append: its rows go in in key order, so that of two that meet one waits, and none deadlocks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from ledger.domain.commands import Deposit, Transfer
from ledger.engine.plan import Plan
from ledger.engine.sealing import Sealer
from ledger.store import event_store
from ledger.store.append import append
from ledger.store.connection import dedicated_connection
from tests.engines import waiting_for_locks
from tests.ledger_world import NEXT_VERSION, history, new_account, submission
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("further", [0, 5], ids=["a lone command", "a batch"])
def test_a_writer_waits_at_its_lowest_key_whatever_the_order_of_the_commands(further: int) -> None:
    low, high = sorted([new_account(10), new_account(10)])
    snapshot = event_store.read([low, high])
    plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=False)
    plan.add(submission(Transfer(high, low, Decimal(1))))
    for _ in range(further):
        plan.add(submission(Deposit(high, Decimal(1))))
    with dedicated_connection() as other, ThreadPoolExecutor(1) as thread:
        with other.transaction(force_rollback=True):
            other.execute(NEXT_VERSION, (low,))
            appended = thread.submit(append, plan.rows, snapshot.now)
            wait_for(lambda: waiting_for_locks() == 1, "it waits for the other writer")
            # Had it written this one first, each would now wait for the other.
            other.execute(NEXT_VERSION, (high,))
        appended.result(30)
    assert history(high)[-1][2] == 900 + 100 * further
