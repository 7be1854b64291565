"""Rebuilding a read model while it is live: beside it, interruptible, switched at once, and back."""

from __future__ import annotations

import signal
import subprocess
import threading

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError

from projections import rebuild, selectors
from projections.connection import read_model_connection
from projections.models import Transaction
from projections.projection import by_name
from tests.read_world import (
    STOP_S_MAX,
    assert_read_model_is_right,
    change_read_model,
    order_everything,
    process,
    projector,
    random_commands,
    read_model,
    relay,
    submit,
    wait_until_applied,
)
from tests.rebuild_world import a_built_read_model, built, call
from tests.servers import KILLED_AT, REPOSITORY, libpq
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores", "no_shadows")
WAITS_FOR_ACCOUNTS = "SELECT count(*) FROM pg_locks WHERE relation = 'public.accounts'::regclass AND NOT granted"


def test_a_rebuild_goes_live_while_commands_and_the_projector_go_on() -> None:
    ids = a_built_read_model()
    stop = threading.Event()

    def write() -> None:
        seed = 100
        while not stop.is_set():
            seed += 1
            submit(*random_commands(ids, 5, seed))

    with relay(), projector():
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for name in ("accounts", "transactions", "daily_balances", "search"):
                code, printed = call(name, "--require-equal")
                assert code == 0, printed
                assert "switched at" in printed
        finally:
            stop.set()
            writer.join()
        order_everything()
        wait_until_applied()
    assert_read_model_is_right()


def test_going_back_is_one_command_and_the_old_set_is_kept_until_told() -> None:
    ids = a_built_read_model()
    change_read_model("UPDATE accounts SET owner_name = 'as it was'")
    assert call("accounts")[0] == 0
    assert read_model("SELECT count(*) FROM accounts WHERE owner_name = 'as it was'") == [(0,)]
    with relay(), projector():
        submit(*random_commands(ids, 20, seed=5))
        order_everything()
        wait_until_applied()
        assert call("accounts", "--back")[0] == 0
        # The names are of the old set, the balances of now.
        assert read_model("SELECT count(*) FROM previous_accounts.accounts") == [(6,)]
        submit(*random_commands(ids, 20, seed=6))
        order_everything()
        wait_until_applied()
    assert_read_model_is_right()
    assert call("accounts", "--drop-previous") == (0, "accounts: previous set dropped\n")
    assert call("accounts", "--drop-previous") == (0, "accounts: nothing to drop\n")
    assert call("accounts", "--back")[0] == 1, "there is nothing to go back to"
    for flags in (("--back", "--diff"), ("--back", "--no-switch"), ("--drop-previous", "--require-equal")):
        with pytest.raises(CommandError) as refused:
            call("accounts", *flags)
        assert "--" in str(refused.value)


def test_going_back_that_failed_can_be_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    a_built_read_model()
    change_read_model("UPDATE accounts SET owner_name = 'as it was'")
    assert call("accounts")[0] == 0
    monkeypatch.setattr(rebuild, "SWITCH_ATTEMPTS_MAX", 1)
    with read_model_connection() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM accounts")  # and holds its lock until the transaction ends
        code, printed = call("accounts", "--back")
    assert (code, "never free" in printed) == (1, True)
    code, printed = call("accounts", "--back")
    assert code == 0, printed
    assert read_model("SELECT count(*) FROM accounts WHERE owner_name = 'as it was'") == [(6,)]


def test_a_rebuild_that_was_killed_goes_on_where_it_was() -> None:
    a_built_read_model(commands=3_000)
    point, command = "after:projections.level.apply_batch", ("rebuild_projection", "transactions", "--no-switch")
    killed = subprocess.run([*KILLED_AT, point, *command], cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    interrupted_at = built("transactions")
    assert interrupted_at > 0
    seen: list[int] = []
    with read_model_connection() as connection:
        rebuild.build(connection, by_name("transactions"), lambda position, _: seen.append(position))
    assert seen, "it was killed before its end"
    assert all(position > interrupted_at for position in seen), "it did not begin again"
    code, printed = call("transactions", "--require-equal")
    assert code == 0, printed
    assert_read_model_is_right()


@pytest.mark.parametrize("stopping", [signal.SIGINT, signal.SIGTERM])
def test_a_rebuild_that_is_stopped_says_so_in_a_sentence_and_goes_on_when_called_again(
    stopping: signal.Signals,
) -> None:
    a_built_read_model(commands=6_000)
    with process("rebuild_projection", "transactions", "--no-switch", stderr=subprocess.PIPE, text=True) as running:
        wait_for(lambda: built("transactions") > 0, "something is built")
        running.send_signal(stopping)
        _, said = running.communicate(timeout=STOP_S_MAX)
    assert running.returncode == 128 + stopping
    assert said.splitlines()[-1] == "CommandError: transactions: stopped; called again, it goes on from what is there"
    assert "Traceback" not in said
    stopped_at = built("transactions")
    code, printed = call("transactions", "--require-equal")
    assert code == 0, printed
    assert stopped_at > 0
    assert_read_model_is_right()


def test_a_query_across_the_switch_sees_one_set_or_the_other() -> None:
    a_built_read_model()
    expected = read_model("SELECT count(*), sum(amount_minor), min(position), max(position) FROM transactions")
    stop, wrong, asked = threading.Event(), [], []

    def ask() -> None:
        while not stop.is_set():
            found = read_model("SELECT count(*), sum(amount_minor), min(position), max(position) FROM transactions")
            asked.append(True)
            if found != expected:
                wrong.append(found)

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        for _ in range(4):
            assert call("transactions")[0] == 0
    finally:
        stop.set()
        reader.join()
    assert not wrong
    assert len(asked) > 10


def test_a_switch_waits_for_a_long_query_and_does_not_block_others_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    a_built_read_model()
    monkeypatch.setattr(rebuild, "SWITCH_ATTEMPTS_MAX", 2)
    with read_model_connection() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM accounts")  # and holds its lock until the transaction ends
        code, printed = call("accounts")
    assert code == 1
    assert "never free" in printed
    assert call("accounts")[0] == 0
    assert_read_model_is_right()


def test_a_switch_waits_for_the_batch_under_way_before_it_holds_the_checkpoint() -> None:
    """A batch changes rows and then moves the checkpoint: who holds that and waits for the rows is its deadlock."""
    a_built_read_model()
    with psycopg.connect(libpq(settings.READ_MODEL_URL)) as batch, process("rebuild_projection", "accounts") as switch:
        batch.execute("UPDATE accounts SET version = version")
        wait_for(lambda: read_model(WAITS_FOR_ACCOUNTS) == [(1,)], "a switch that waits for the batch")
        batch.execute("SELECT 1 FROM checkpoints WHERE projection = 'accounts' FOR UPDATE NOWAIT")
        batch.commit()
        assert switch.wait(STOP_S_MAX) == 0
    assert_read_model_is_right()


def test_a_rebuilt_set_is_no_later_than_the_one_it_replaces() -> None:
    """What is built from old events was not shown late: how late the projector was is what it measured itself."""
    told = "SELECT lag_ms, lag_p50_ms, lag_p99_ms, updated_at FROM public.checkpoints WHERE projection = 'transactions'"
    a_built_read_model()
    change_read_model("UPDATE checkpoints SET lag_ms = 7, lag_p50_ms = 5, lag_p99_ms = 9")
    before = read_model(told)
    for step in ((), ("--back",)):
        assert call("transactions", *step)[0] == 0
        assert read_model(told) == before, step


def test_two_rebuilds_of_one_projection_do_not_meet() -> None:
    a_built_read_model()
    with read_model_connection() as other:
        rebuild.build(other, by_name("accounts"), lambda *_: None)
        code, printed = call("accounts")
    assert code == 1
    assert "another rebuild" in printed


def test_rows_of_another_version_of_the_code_stand_still_until_they_are_rebuilt() -> None:
    ids = a_built_read_model()
    change_read_model("UPDATE checkpoints SET version = 99 WHERE projection = 'accounts'")
    with relay(), projector():
        submit(*random_commands(ids, 20, seed=3))
        head = order_everything()
        stands = "SELECT position FROM checkpoints WHERE projection = 'transactions'"
        wait_for(lambda: read_model(stands) == [(head,)], "the others go on")
        (alarm,) = read_model("SELECT alarm FROM checkpoints WHERE projection = 'accounts'")[0]
        assert "rebuild_projection accounts" in alarm
        assert call("accounts")[0] == 0
        submit(*random_commands(ids, 20, seed=4))
        order_everything()
        wait_until_applied()
    assert_read_model_is_right()


def test_the_rebuilt_tables_have_the_indexes_a_migration_makes() -> None:
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'transactions' ORDER BY 1"
    a_built_read_model()
    before = read_model(indexes)
    assert call("transactions")[0] == 0
    assert [name for (name,) in read_model(indexes) if "_uniq" not in name] == [
        name for (name,) in before if "_uniq" not in name
    ]


def test_a_switch_does_not_come_between_a_snapshot_and_what_is_read_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the new tables would be read as they were before their last rows were committed."""
    ids = a_built_read_model()
    monkeypatch.setattr(rebuild, "SWITCH_ATTEMPTS_MAX", 1)
    submit(*random_commands(ids, 10, seed=9))
    head = order_everything()
    with projector():
        wait_until_applied()
    with selectors.snapshot("transactions"):
        assert selectors.checkpoint_position("transactions") == head  # the snapshot is taken now
        code, printed = call("transactions")
        assert (code, "never free" in printed) == (1, True)
        last = Transaction.objects.order_by("-position").first()
        assert last is not None
        assert last.position > head - 3
    assert call("transactions")[0] == 0
