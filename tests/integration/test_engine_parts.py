"""Long lists of commands: independent ones are carried out in parts, and each command has its own, true outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ledger.domain.commands import CreateAccount, Deposit, Withdraw
from ledger.engine import execute as engine
from ledger.engine import transaction, writing
from ledger.engine.execute import COMMANDS_PER_TRANSACTION, execute
from ledger.engine.remembered import Remembered
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.errors import Busy, InternalError, StoreUnavailable
from ledger.store import event_store
from tests.ledger_world import history, new_account, scalar, submission, table_sizes

pytestmark = pytest.mark.usefixtures("database")
ONE = Decimal(1)


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.error.code if isinstance(outcome, Rejected) else "accepted" for outcome in outcomes]


def keyed(account_id: str, count: int) -> list[Submission]:
    return [submission(Deposit(account_id, ONE), idempotency_key=f"{account_id}-{number}") for number in range(count)]


def test_independent_commands_are_written_in_parts_and_answered_in_order() -> None:
    account_id, count = new_account(), 2 * COMMANDS_PER_TRANSACTION + 1
    last = COMMANDS_PER_TRANSACTION, 2 * COMMANDS_PER_TRANSACTION  # of the first part and of the second
    commands = [
        submission(Withdraw(account_id, Decimal(count)) if n in last else Deposit(account_id, ONE))
        for n in range(count)
    ]
    outcomes = execute(commands)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Rejected)] == list(last)
    assert [o.command_id for o in outcomes if isinstance(o, Accepted)] == [
        c.command_id for n, c in enumerate(commands) if n not in last
    ]
    assert history(account_id)[-1] == (count - 1, "MoneyDeposited", 100 * (count - 2))
    written = "SELECT count(DISTINCT xmin::text) FROM events WHERE aggregate_id = %s AND version > 1"
    assert scalar(written, account_id) == 2, "the third part is one refusal"


def test_a_key_that_comes_again_in_a_later_part_is_answered_as_before() -> None:
    account_id = new_account()
    commands = keyed(account_id, COMMANDS_PER_TRANSACTION)
    outcomes = execute([*commands, submission(commands[0].command, idempotency_key=commands[0].idempotency_key)])
    assert [isinstance(o, Accepted) and o.replayed for o in outcomes].count(True) == 1
    assert isinstance(outcomes[-1], Accepted)
    assert outcomes[-1].replayed
    assert history(account_id)[-1][2] == 100 * COMMANDS_PER_TRANSACTION


def test_all_or_nothing_is_one_transaction_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id, count = new_account(), COMMANDS_PER_TRANSACTION + 1
    before = table_sizes()
    deposits = [submission(Deposit(account_id, ONE)) for _ in range(count - 1)]
    outcomes = execute([*deposits, submission(Withdraw(account_id, Decimal(count)))], atomic=True)
    assert codes(outcomes) == ["batch_aborted"] * (count - 1) + ["insufficient_funds"]
    assert table_sizes()["events"] == before["events"]
    execute([*deposits, submission(Deposit(account_id, ONE))], atomic=True)
    assert scalar("SELECT count(DISTINCT xmin::text) FROM events WHERE aggregate_id = %s", account_id) == 2


@pytest.mark.parametrize("error", [Busy("too many writers"), StoreUnavailable("away")])
def test_what_comes_after_a_part_that_cannot_be_written_is_told_so_and_may_be_sent_again(
    monkeypatch: pytest.MonkeyPatch, error: Busy | StoreUnavailable
) -> None:
    account_id, count = new_account(), 3 * COMMANDS_PER_TRANSACTION
    commands, parts = keyed(account_id, count), list[int]()
    real = engine.execute_in_one_transaction

    def fails_second(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        parts.append(len(submissions))
        if len(parts) == 2:
            raise error
        return real(submissions, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "execute_in_one_transaction", fails_second)
        outcomes = execute(commands)
    assert codes(outcomes) == ["accepted"] * COMMANDS_PER_TRANSACTION + [error.code] * (
        count - COMMANDS_PER_TRANSACTION
    )
    assert parts == [COMMANDS_PER_TRANSACTION] * 2, "the third was not tried"
    assert history(account_id)[-1][2] == 100 * COMMANDS_PER_TRANSACTION
    again = execute(keyed(account_id, count))
    assert [isinstance(o, Accepted) and o.replayed for o in again].count(True) == COMMANDS_PER_TRANSACTION
    assert history(account_id)[-1] == (count + 1, "MoneyDeposited", 100 * count)


def falls_over(monkeypatch: pytest.MonkeyPatch, *fatal: Submission, is_written: bool = False) -> list[int]:
    """Have the engine fall over whenever one of these is among what it writes; return how many it was given each time.

    `is_written`: the first time for each call it falls over only when everything is committed.
    """
    ids, sizes = {s.command_id for s in fatal}, list[int]()

    def fall_over(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        sizes.append(len(submissions))
        is_fatal = any(s.command_id in ids for s in submissions)
        if is_fatal and is_written and not options["may_be_written"]:
            transaction.execute_in_one_transaction(submissions, **options)
        if is_fatal:
            raise ZeroDivisionError("a defect")
        return transaction.execute_in_one_transaction(submissions, **options)

    monkeypatch.setattr(engine, "execute_in_one_transaction", fall_over)
    return sizes


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("culprits", [[0], [3], [4, 9], [7, 8, 10], []])
def test_a_defect_is_the_outcome_of_its_own_command_and_the_others_are_carried_out_once(
    monkeypatch: pytest.MonkeyPatch, culprits: list[int], is_written: bool
) -> None:
    """Parts of 5, 5 and 1; what is told to have failed may have been written, and its key says so."""
    monkeypatch.setattr(engine, "COMMANDS_PER_TRANSACTION", 5)
    account_id = new_account()
    commands, count = keyed(account_id, 11), 11
    with monkeypatch.context() as patch:
        falls_over(patch, *(commands[n] for n in culprits), is_written=is_written)
        outcomes = execute(commands)
    assert codes(outcomes) == ["internal_error" if n in culprits else "accepted" for n in range(count)]
    assert not any(isinstance(outcome, Accepted) and outcome.replayed for outcome in outcomes)
    for n in culprits:
        failed = outcomes[n]
        assert isinstance(failed, Rejected)
        assert isinstance(failed.error, InternalError)
        assert isinstance(failed.error.__cause__, ZeroDivisionError)
    written = count if is_written else count - len(culprits)
    assert history(account_id)[-1] == (1 + written, "MoneyDeposited", 100 * written)
    again = execute(keyed(account_id, count))
    assert [isinstance(o, Accepted) and o.replayed for o in again].count(True) == written
    assert history(account_id)[-1] == (1 + count, "MoneyDeposited", 100 * count)


def test_a_refusal_beside_a_defect_is_on_record_once(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = new_account()
    refused, fatal = submission(Withdraw(account_id, ONE)), submission(Deposit(account_id, ONE))
    with monkeypatch.context() as patch:
        falls_over(patch, fatal, is_written=True)
        assert codes(execute([refused, fatal])) == ["insufficient_funds", "internal_error"]
    assert scalar("SELECT count(*) FROM refusals WHERE command_id = %s", refused.command_id) == 1


def test_one_command_of_many_is_found_in_few_steps_and_too_many_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account_id = new_account()
    commands = [submission(Deposit(account_id, ONE)) for _ in range(COMMANDS_PER_TRANSACTION)]
    with monkeypatch.context() as patch:
        sizes = falls_over(patch, commands[333])
        assert codes(execute(commands)).count("internal_error") == 1
    assert len(sizes) < 25
    with monkeypatch.context() as patch:
        sizes = falls_over(patch, *(fatal := [submission(Deposit(account_id, ONE)) for _ in range(500)]))
        assert set(codes(execute(fatal))) == {"internal_error"}
    assert sizes.count(1) == engine.DEFECTS_MAX
    assert history(account_id)[-1][2] == 100 * (COMMANDS_PER_TRANSACTION - 1)


def test_a_lone_command_has_its_defect_for_an_outcome_and_one_plan_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    command = submission(Deposit(new_account(), ONE))
    falls_over(monkeypatch, command)
    assert codes(execute([command])) == ["internal_error"]
    with pytest.raises(ZeroDivisionError):
        execute([command], atomic=True)


def test_a_lone_command_that_was_written_before_something_broke_is_answered_as_written() -> None:
    account_id, broken = new_account(1), list[int]()

    def break_down() -> None:
        broken.append(1)
        raise ZeroDivisionError("after the commit")

    assert codes(execute([submission(Withdraw(account_id, ONE))], on_commit=break_down)) == ["accepted"]
    assert broken == [1]
    assert len(history(account_id)) == 3


def test_a_call_of_which_nothing_was_written_is_put_off_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = new_account()
    monkeypatch.setattr(event_store, "FINAL_AFTER", timedelta(seconds=-1))
    monkeypatch.setattr(transaction, "RETRY_S_MAX", 0.01)
    monkeypatch.setattr(engine, "CALL_S_MAX", 0.0)
    before = table_sizes()
    with pytest.raises(Busy, match="within -1 s"):
        execute([submission(Deposit(account_id, ONE)) for _ in range(3)])
    with pytest.raises(Busy, match=r"^3 commands that are all or nothing could not be written"):
        execute([submission(Deposit(account_id, ONE)) for _ in range(3)], atomic=True)
    assert table_sizes() == before


def test_a_part_that_takes_too_long_is_cut_until_it_is_written_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that takes 10 ms for every account: the server itself refuses what it would commit too late."""
    accounts = [f"slow-{uuid4().hex}" for _ in range(COMMANDS_PER_TRANSACTION)]
    read, sizes = event_store.read, list[int]()

    def slowly(aggregate_ids: Sequence[str], *others: Any) -> event_store.Snapshot:
        sizes.append(len(aggregate_ids))
        snapshot = read(aggregate_ids, *others)
        snapshot.now -= timedelta(milliseconds=10) * len(aggregate_ids)
        return snapshot

    monkeypatch.setattr(event_store, "read", slowly)
    monkeypatch.setattr(writing, "REMEMBERED", Remembered())
    monkeypatch.setattr(transaction, "RETRY_S_MAX", 0.0)
    outcomes = execute([submission(CreateAccount(id_, "", "USD")) for id_ in accounts])
    assert codes(outcomes) == ["accepted"] * COMMANDS_PER_TRANSACTION
    assert sizes == [COMMANDS_PER_TRANSACTION, COMMANDS_PER_TRANSACTION // 2, *[COMMANDS_PER_TRANSACTION // 4] * 4]
    assert {len(history(id_)) for id_ in accounts} == {1}
