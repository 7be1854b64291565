"""The projector, its database or NATS dies at the worst moment: nothing is lost, nothing is applied twice."""

from __future__ import annotations

import signal
from typing import Any

import psutil
import psycopg
import pytest

from ledger.store import journal
from projections import applying, turn
from projections.connection import ALIAS, SILENCE_S_MAX
from projections.projection import Batch
from projections.runner import STANDBY_S
from tests.read_world import (
    assert_read_model_is_right,
    change_read_model,
    open_accounts,
    order_everything,
    positions,
    process,
    projector,
    random_commands,
    read_model,
    relay,
    submit,
    wait_until_applied,
)
from tests.servers import Servers
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
TAKEOVER_S_MAX = 5.0


def wait_until_followed() -> None:
    order_everything()
    wait_until_applied()


def test_rows_without_their_checkpoint_are_never_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill point: the rows of a batch are written, its checkpoint is not."""
    deaths: list[dict[str, int]] = []

    class DiesFirst(applying.Round):
        def run(self, connection: Any) -> list[Any]:
            if len(deaths) < 3:
                deaths.append(positions())
                *self._calls, _ = self._calls  # without the checkpoint
                connection.execute("BEGIN")
                super().run(connection)  # the rows have reached the server
                connection.close()
            return super().run(connection)

    monkeypatch.setattr(applying, "Round", DiesFirst)
    submit(*random_commands(open_accounts(5), 40))
    order_everything()
    with projector():
        wait_until_applied()
    assert len(deaths) == 3
    assert all(position == 0 for places in deaths for position in places.values()), "each dies at the first batch"
    assert_read_model_is_right()


def test_a_checkpoint_that_moved_elsewhere_stops_the_batch_and_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second projector that should not be there: of two that apply the same batch, one commits."""
    apply_batch, intruded = turn.apply_batch, []

    def intrude(connection: Any, checkpoints: Any, batch: Batch, *others: Any) -> None:
        if not intruded and checkpoints[0].position:
            intruded.append(True)
            with psycopg.connect(connection.info.dsn) as other:
                for place in checkpoints:
                    place.projection.apply(other.cursor(), batch)
                    other.execute(
                        "UPDATE checkpoints SET position = %s, running_hash = %s WHERE projection = %s",
                        (batch.recorded[-1].position, batch.recorded[-1].running_hash, place.projection.name),
                    )
        apply_batch(connection, checkpoints, batch, *others)

    monkeypatch.setattr(turn, "apply_batch", intrude)
    monkeypatch.setattr(turn, "BATCH_MAX", 10)
    submit(*random_commands(open_accounts(5), 40))
    order_everything()
    with projector():
        wait_until_applied()
    assert intruded
    assert_read_model_is_right()


def test_a_projector_survives_the_loss_of_its_connection() -> None:
    accounts = open_accounts(5)
    with relay(), projector():
        for seed in range(3):
            submit(*random_commands(accounts, 30, seed))
            wait_until_followed()
            read_model(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'read_model' "
                "AND pid <> pg_backend_pid()"
            )
        submit(*random_commands(accounts, 30, 9))
        wait_until_followed()
    assert_read_model_is_right()


@pytest.mark.parametrize("emptied", [False, True])
def test_nats_may_restart_and_may_come_back_empty(stack: Servers, emptied: bool) -> None:
    accounts = open_accounts(5)
    with relay(), projector():
        submit(*random_commands(accounts, 30))
        wait_until_followed()
        stack.restart_nats(emptied=emptied)
        submit(*random_commands(accounts, 30, seed=2))
        wait_until_followed()
    assert_read_model_is_right()


def test_an_emptied_read_model_is_built_again_from_the_journal() -> None:
    accounts = open_accounts(5)
    with relay(), projector():
        submit(*random_commands(accounts, 60))
        wait_until_followed()
        change_read_model(
            "TRUNCATE accounts, transactions, transfers, postings, trial_balance, daily_balances, "
            "activity, search_entries, checkpoints"
        )
        wait_for(lambda: bool(positions()), "the projector begins again")
        wait_until_followed()
    assert_read_model_is_right()


def test_dropped_tables_are_waited_for_and_filled_again() -> None:
    from tests.servers import run_manage

    submit(*random_commands(open_accounts(5), 60))
    order_everything()
    with projector():
        wait_until_applied()
        change_read_model("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        run_manage("migrate", "--no-input", "--database", ALIAS)
        wait_for(lambda: bool(positions()), "the projector begins again")
        wait_until_applied()
    assert_read_model_is_right()


def active_projector() -> int:
    """Return the process that holds the projector's lock, or 0."""
    found = read_model(
        "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND datname = 'read_model'"
    )
    return int(found[0][0].rpartition(" ")[2]) if found else 0


def test_what_has_to_pass_before_another_takes_over_is_less_than_five_seconds() -> None:
    """On a machine with time for it; what a crowded one adds is nothing that a test could tell from a mistake."""
    assert SILENCE_S_MAX + STANDBY_S < TAKEOVER_S_MAX


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_another_projector_takes_over(how: signal.Signals) -> None:
    """Killed, hung (a stopped process keeps its connections open) or told to go."""
    accounts = open_accounts(5)
    with relay(), process("run_projections") as one, process("run_projections") as other:
        wait_for(lambda: active_projector() in {one.pid, other.pid}, "one of them is active")
        # Each connects before it asks for its turn: the other must not be starting still.
        wait_for(lambda: all(psutil.Process(p.pid).net_connections() for p in (one, other)), "both are at work")
        first, second = (one, other) if active_projector() == one.pid else (other, one)
        submit(*random_commands(accounts, 200))
        wait_for(lambda: any(positions().values()), "some of it is applied")
        first.send_signal(how)
        wait_for(lambda: active_projector() == second.pid, "the other is active")
        submit(*random_commands(accounts, 30, seed=2))
        wait_until_followed()
        if how == signal.SIGSTOP:
            first.send_signal(signal.SIGCONT)
            submit(*random_commands(accounts, 30, seed=3))
            wait_until_followed()
            assert active_projector() == second.pid, "who comes back late stands by"
    assert_read_model_is_right()


def test_a_projector_killed_again_and_again_applies_every_event_once() -> None:
    accounts = open_accounts(8)
    with relay():
        for seed in range(5):
            submit(*random_commands(accounts, 400, seed))
            before = max(positions().values(), default=0)
            with process("run_projections") as running:
                wait_for(lambda before=before: max(positions().values(), default=0) > before, "some of it is applied")
                running.kill()
                running.wait()
        with projector():
            wait_until_followed()
    assert_read_model_is_right()
    assert max(positions().values()) == journal.head().position
