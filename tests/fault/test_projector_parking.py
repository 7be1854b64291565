"""One poisoned event never stops the rest; it waits, with what stands behind it, until it is mended and retried."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command

from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit
from ledger.domain.instants import format_instant
from ledger.store import history, journal
from projections import accounts, activity, applying, money, postings, transactions, turn
from projections.money import MOVES_MONEY
from projections.projection import Batch
from tests.api_world import client_with, get, ok
from tests.poison_world import a_history_with_poison, is_poison, parked, poisonous
from tests.read_world import (
    STOP_S_MAX,
    WRONG_BOOKS,
    assert_read_model_is_right,
    change_read_model,
    open_accounts,
    order_everything,
    process,
    projector,
    random_commands,
    read_model,
    submit,
    wait_until_applied,
)
from tests.servers import libpq
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.parametrize("projection", [transactions, accounts, activity])
def test_a_poisoned_event_parks_its_command_and_what_follows_on_its_account(
    projection: Any,
) -> None:
    name = projection.PROJECTION.name
    usd = a_history_with_poison()
    events = journal.read(0)
    cause = next(s for s in events if is_poison(s.event))
    with poisonous(projection), projector():
        wait_until_applied()
        # Everything after it on its account, with all of the same command; nothing else.
        behind = {s.command_id for s in events if s.event.aggregate_id == usd[0] and s.position >= cause.position}
        expected = [(s.position, s.event.aggregate_id, s is cause) for s in events if s.command_id in behind]
        assert parked(name) == expected
        assert {row[0] for row in read_model("SELECT DISTINCT projection FROM parked_events")} == {name}
        submit(Deposit(usd[1], Decimal(7)), Deposit(usd[0], Decimal(7)))  # while it is parked
        order_everything()
        wait_until_applied()
        assert len(parked(name)) == len(expected) + 1, "one more waits behind"
        untouched = min({s.event.aggregate_id for s in events} - {row[1] for row in parked(name)})
        assert call("show_projections") == 1
        assert call("verify_consistency", "--account", usd[0]) == 1
        assert call("verify_consistency", "--account", untouched) == 0, "that other accounts wait is not its fault"
        assert call("retry_parked", name) == 1, "the bug is still there"
        assert {row[0] for row in read_model("SELECT attempts FROM parked_events WHERE is_cause")} == {2}
    with projector():
        assert call("retry_parked") == 0
        assert parked(name) == []
        submit(Deposit(usd[0], Decimal(9)))  # the running projector has noticed that the account is free again
        order_everything()
        wait_until_applied()
        assert parked(name) == []
    assert_read_model_is_right()
    assert call("show_projections") == 0


def test_a_retry_waits_for_the_batch_under_way_before_it_holds_the_checkpoint() -> None:
    """A batch changes rows and then moves the checkpoint: who holds that and waits for the rows is its deadlock."""
    usd = a_history_with_poison()
    with poisonous(accounts), projector():
        wait_until_applied()
    with psycopg.connect(libpq(settings.READ_MODEL_URL)) as batch, process("retry_parked", "accounts") as retrying:
        batch.execute("UPDATE accounts SET version = version WHERE account_id = %s", (usd[0],))
        wait_for(lambda: read_model(WAITING) == [(1,)], "a retry that waits for the batch")
        batch.execute("SELECT 1 FROM checkpoints WHERE projection = 'accounts' FOR UPDATE NOWAIT")
        batch.commit()
        assert retrying.wait(STOP_S_MAX) == 0
    assert_read_model_is_right()


def test_an_answer_does_not_claim_a_position_at_which_something_of_it_is_parked() -> None:
    usd = a_history_with_poison()
    with poisonous(accounts), projector():
        wait_until_applied()
    head = journal.head().position
    client = client_with(Role.AUDITOR)
    untouched = read_model("SELECT account_id FROM accounts EXCEPT SELECT aggregate_id FROM parked_events")[0][0]
    # Its side of the poisoned transfer is parked, and nothing else of it.
    ((waits,),) = read_model("SELECT min(position) FROM parked_events WHERE aggregate_id = %s", usd[1])
    assert get(client, f"accounts/{usd[1]}")["Chronicle-Position"] == str(waits - 1)
    assert get(client, f"accounts/{usd[1]}", min_position=waits - 1).status_code == 200
    asked = get(client, f"accounts/{usd[1]}", min_position=head)
    assert (asked.status_code, asked.json()["code"]) == (503, "not_yet")
    assert get(client, f"accounts/{untouched}", min_position=head)["Chronicle-Position"] == str(head)
    ((first,),) = read_model("SELECT min(position) FROM parked_events")
    assert get(client, "accounts")["Chronicle-Position"] == str(first - 1), "of all accounts"


@pytest.mark.parametrize(("projection", "path"), [(transactions, "trial-balance"), (postings, "books")])
def test_the_books_do_not_claim_it_either(projection: Any, path: str) -> None:
    a_history_with_poison()
    client, head = client_with(Role.AUDITOR), journal.head().position
    with poisonous(projection), projector():
        wait_until_applied()
    first = min(position for position, *_ in parked(projection.PROJECTION.name))
    assert get(client, path)["Chronicle-Position"] == str(first - 1)
    asked = get(client, path, min_position=head)
    assert (asked.status_code, asked.json()["code"]) == (503, "not_yet")
    if path == "books":
        finality = [ok(get(client, path, position=position))["final"] for position in (first - 1, first, head)]
        assert finality == [True, False, False], "final is what no retry can change"


def test_what_follows_a_poisoned_event_parks_though_its_statements_are_made_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database finds out, when the statements of the next batch are waiting: they have to be thrown away."""
    monkeypatch.setattr(turn, "BATCH_MAX", 10)
    usd = a_history_with_poison()
    events = journal.read(0)
    cause = next(s for s in events if is_poison(s.event))
    behind = {s.command_id for s in events if s.event.aggregate_id == usd[0] and s.position >= cause.position}
    made: list[int] = []

    def counted(checkpoints: Any, batch: Batch, lag: Any) -> Any:
        found = applying_made(checkpoints, batch, lag)
        made.extend(s.position for s in batch.recorded if found is not None)
        return found

    def apply_after_them(connection: Any, checkpoints: Any, batch: Batch, *others: Any) -> None:
        if cause in batch.recorded:
            wait_for(lambda: max(made) > batch.recorded[-1].position, "the next batch's statements are made")
        apply_batch(connection, checkpoints, batch, *others)

    applying_made, apply_batch = applying._made, turn.apply_batch
    monkeypatch.setattr(applying, "_made", counted)
    monkeypatch.setattr(turn, "apply_batch", apply_after_them)
    change_read_model("ALTER TABLE transactions ADD CONSTRAINT no_cent CHECK (amount_minor <> -1 OR currency <> 'USD')")
    try:
        with projector():
            wait_until_applied()
            assert parked("transactions") == [
                (s.position, s.event.aggregate_id, s is cause) for s in events if s.command_id in behind
            ]
    finally:
        change_read_model("ALTER TABLE transactions DROP CONSTRAINT no_cent")
    assert call("retry_parked") == 0
    assert_read_model_is_right()


def call(command: str, *arguments: str) -> int:
    """Return the exit code of a management command."""
    try:
        call_command(command, *arguments, stdout=StringIO())
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def test_the_books_balance_while_something_is_parked() -> None:
    a_history_with_poison()
    with poisonous(postings), projector():
        wait_until_applied()
    assert parked("postings")
    assert read_model(WRONG_BOOKS["a command whose postings do not cancel"]) == []


def test_no_trial_balance_is_final_while_something_is_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    a_history_with_poison()
    monkeypatch.setattr(history, "FINAL_AFTER", timedelta(0))
    auditor, as_of = client_with(Role.AUDITOR), format_instant(journal.read(0)[-1].event.recorded_at)
    with poisonous(transactions), projector():
        wait_until_applied()
        assert ok(get(auditor, "trial-balance", as_of=as_of))["final"] is False
    with projector():
        assert call("retry_parked") == 0
        assert ok(get(auditor, "trial-balance", as_of=as_of))["final"] is True


def test_a_retry_while_the_projector_works_is_noticed_by_it() -> None:
    usd = a_history_with_poison()
    with projector():
        with poisonous(transactions):
            wait_until_applied()
        assert parked("transactions")
        assert call("retry_parked", "transactions") == 0
        for number in range(5):
            submit(Deposit(usd[0], Decimal(number + 1)))
            order_everything()
            wait_until_applied()
        assert parked("transactions") == []
    assert_read_model_is_right()


def test_an_event_type_that_nobody_entered_is_parked_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    submit(*random_commands(open_accounts(4), 20))
    order_everything()
    withdrawals = {s.position for s in journal.read(0) if s.event.event_type == "MoneyWithdrawn"}
    with monkeypatch.context() as patch:
        patch.delitem(MOVES_MONEY, "MoneyWithdrawn")
        with projector():
            wait_until_applied()
        causes = read_model("SELECT position, reason FROM parked_events WHERE projection = 'postings' AND is_cause")
        assert causes
        assert {position for position, _ in causes} <= withdrawals
        assert all("MoneyWithdrawn has no entry" in reason for _, reason in causes)
    assert money.MOVES_MONEY is MOVES_MONEY
    assert call("retry_parked") == 0
    assert_read_model_is_right()


def test_what_a_parked_event_says_is_not_why_it_is_parked(capsys: pytest.CaptureFixture[str]) -> None:
    change_read_model("ALTER TABLE accounts ADD CONSTRAINT no_ann CHECK (owner_name NOT LIKE 'Ann%')")
    submit(CreateAccount("ann", "Annabella", "USD"))
    order_everything()
    try:
        with projector():
            wait_until_applied()
            assert [cause for _, _, cause in parked("accounts")] == [True]
            ((reason,),) = read_model("SELECT reason FROM parked_events WHERE projection = 'accounts'")
            assert "no_ann" in reason
            # The database tells the whole row, and neither a log nor this table would forget it.
            assert "Annabella" not in reason + "".join(capsys.readouterr())
    finally:
        change_read_model("ALTER TABLE accounts DROP CONSTRAINT no_ann")
    assert call("retry_parked") == 0
    assert_read_model_is_right()


def test_an_unknown_projection_is_wrong_usage() -> None:
    assert call("retry_parked", "accountz") == 2


def test_show_projections_tells_up_to_where_each_is_proven() -> None:
    submit(*random_commands(open_accounts(4), 20))
    head = order_everything()
    with projector():
        wait_until_applied()
    shown = StringIO()
    call_command("show_projections", "--json", stdout=shown)
    overview = json.loads(shown.getvalue())
    assert overview["head"] == head
    assert {(p["proven_to"], p["is_proven"], p["behind"]) for p in overview["projections"]} == {(head, True, 0)}
    change_read_model("UPDATE checkpoints SET running_hash = '\\x00' WHERE projection = 'accounts'")
    assert call("show_projections") == 1
