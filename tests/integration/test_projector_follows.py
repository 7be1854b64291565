"""The projector on the way it is meant to go: bus → read model, every event once, whole commands only."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.bus import jetstream
from ledger.store import journal
from projections import runner, turn
from projections.projection import Batch
from tests.read_world import (
    assert_read_model_is_right,
    change_read_model,
    open_accounts,
    order_everything,
    positions,
    projector,
    random_commands,
    read_model,
    relay,
    submit,
    wait_until_applied,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")

# At any committed checkpoint: every transfer has both its sides, and they cancel.
HALF_TRANSFERS = """
SELECT transfer_id FROM transactions WHERE transfer_id IS NOT NULL
GROUP BY transfer_id HAVING count(*) <> 2 OR sum(amount_minor) <> 0
"""


def test_what_is_commanded_becomes_visible() -> None:
    with relay(), projector():
        accounts = open_accounts(6)
        submit(*random_commands(accounts, 200))
        wait_until_applied_once_ordered()
    assert_read_model_is_right()
    assert read_model("SELECT count(*) FROM transfers") == read_model(
        "SELECT count(DISTINCT transfer_id) FROM transactions WHERE transfer_id IS NOT NULL"
    )


def wait_until_applied_once_ordered() -> None:
    order_everything()  # what the relay has not taken yet; the two may compete
    wait_until_applied()


def test_a_history_older_than_the_projector_is_caught_up_with() -> None:
    submit(*random_commands(open_accounts(6), 300))
    with relay(), projector():
        wait_until_applied_once_ordered()
    assert_read_model_is_right()


@pytest.mark.parametrize(("batch", "pull"), [(1, 1), (3, 7), (2_000, 5)])
def test_no_checkpoint_ever_splits_a_transfer(batch: int, pull: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of odd sizes meet commands of two events, so many of them end in the middle of one."""
    monkeypatch.setattr(runner, "IDLE_S", 2)  # so that the bus brings the events, not the journal
    seen: list[int] = []
    apply_batch, apply_in_loop = turn.apply_batch, turn.apply_in_loop

    def look(batch: Batch) -> None:
        assert read_model(HALF_TRANSFERS) == []
        seen.append(batch.recorded[-1].position)

    def apply_and_look(connection: Any, checkpoints: Any, batch: Batch, *others: Any) -> None:
        apply_batch(connection, checkpoints, batch, *others)
        look(batch)

    async def apply_in_loop_and_look(connection: Any, checkpoints: Any, batch: Batch, lag: Any) -> bool:
        if is_applied := await apply_in_loop(connection, checkpoints, batch, lag):
            look(batch)
        return is_applied

    monkeypatch.setattr(turn, "apply_batch", apply_and_look)
    monkeypatch.setattr(turn, "apply_in_loop", apply_in_loop_and_look)
    monkeypatch.setattr(turn, "BATCH_MAX", batch)
    monkeypatch.setattr(jetstream, "PULL_BATCH", pull)
    accounts = open_accounts(8)
    with relay(), projector():
        for command in random_commands(accounts, 60):
            submit(command)
        wait_until_applied_once_ordered()
    assert len(seen) > 10, "many checkpoints were looked at"
    assert_read_model_is_right()


def test_the_checkpoint_carries_the_journals_running_hash() -> None:
    with relay(), projector():
        submit(*random_commands(open_accounts(4), 20))
        wait_until_applied_once_ordered()
    proven = {bytes(running_hash) for (running_hash,) in read_model("SELECT running_hash FROM checkpoints")}
    assert proven == {journal.head().running_hash}


def test_a_projection_that_is_new_is_helped_on_while_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "SLICE_MAX", 20)
    accounts = open_accounts(6)
    submit(*random_commands(accounts, 200))
    with relay(), projector():
        wait_until_applied_once_ordered()
    # As if the projection had just been added to the registry.
    change_read_model("DELETE FROM checkpoints WHERE projection = 'transfers'", "TRUNCATE transfers")
    with relay(), projector():
        submit(*random_commands(accounts, 50, seed=2))
        wait_until_applied_once_ordered()
        assert set(positions().values()) == {journal.head().position}
    transfers = read_model("SELECT count(*) FROM transfers")
    assert transfers == read_model("SELECT count(DISTINCT transfer_id) FROM transactions WHERE transfer_id IS NOT NULL")


def test_the_lag_of_a_lone_batch_is_told_and_not_only_with_the_next_one() -> None:
    def told() -> set[tuple[float, float]]:
        return set(read_model("SELECT lag_p50_ms, lag_p99_ms FROM checkpoints"))

    with relay(), projector():
        open_accounts(4)  # one transaction, so one batch
        wait_until_applied_once_ordered()
        wait_for(lambda: all(0 < p50 <= p99 < 60_000 for p50, p99 in told()), "percentiles of the only batch")
