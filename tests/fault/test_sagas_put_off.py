"""A step of a transfer that nobody has decided is no refusal: the transfer waits, and keeps no other from ending."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.commands import StartTransfer
from ledger.domain.errors import AccountFrozen
from ledger.engine import execute as engine
from ledger.engine import sagas
from ledger.engine.execute import execute, execute_in_one_transaction
from ledger.engine.sagas import ProcessManager
from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.errors import Busy, InternalError, LedgerError, StoreUnavailable
from tests.fault.test_sagas import assert_money_is_all_there, balances, started, unfinished
from tests.ledger_world import rows, scalar
from tests.proof_world import submit
from tests.read_world import order_everything

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.mark.parametrize("error", [Busy("too late"), StoreUnavailable("away"), InternalError("a defect")], ids=repr)
@pytest.mark.parametrize("step", ["settle-transfer", "fail-transfer"])
def test_what_was_put_off_is_no_refusal(monkeypatch: pytest.MonkeyPatch, step: str, error: LedgerError) -> None:
    """The engine writes a page in parts: when one part is put off, those before it have their own outcomes."""
    settled, refused = started(), str(submit(StartTransfer("ann", "bob", Decimal(5)))[0].command_id)
    order_everything()
    put_off = [settled, refused] if step == "settle-transfer" else [refused]

    def refuse_one(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        if step == "fail-transfer" and submissions[0].command_type != step:
            return [execute(submissions[:1], **options)[0], Rejected(AccountFrozen("account bob is frozen"))]
        return [Rejected(error)] * len(submissions)

    with monkeypatch.context() as patch:
        patch.setattr(sagas, "execute", refuse_one)
        with pytest.raises(type(error)):
            ProcessManager().work()
    assert unfinished() == len(put_off)
    assert ProcessManager().work() == len(put_off)
    assert scalar("SELECT count(*) FROM events WHERE event_type = 'TransferCompleted'") == 2
    assert balances() == {"ann": (6_500, 0), "bob": (3_500, 0)}
    assert_money_is_all_there()


def test_a_transfer_at_which_the_engine_falls_over_keeps_none_of_the_others_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison = started()
    others = [str(submit(StartTransfer("ann", "bob", Decimal(1)))[0].command_id) for _ in range(4)]
    order_everything()

    def fall_over(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        if any(submission.correlation_id == poison for submission in submissions):
            raise ZeroDivisionError("a defect")
        return execute_in_one_transaction(submissions, **options)

    manager = ProcessManager()
    with monkeypatch.context() as patch:
        patch.setattr(sagas, "PAGE", 2)
        patch.setattr(engine, "execute_in_one_transaction", fall_over)
        for _ in range(2):
            with pytest.raises(InternalError):
                manager.work()
        assert unfinished() == 1
    assert manager.work() == 1
    completed = rows("SELECT aggregate_id FROM events WHERE event_type = 'TransferCompleted'")
    assert {id_ for (id_,) in completed} == {f"transfer:{id_}" for id_ in (poison, *others)}
    assert_money_is_all_there()


def test_many_such_transfers_keep_none_of_the_others_from_ending_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine takes no more than so many for the commands' own doing, and tries none after them."""
    started()
    poison = {str(submit(StartTransfer("ann", "bob", Decimal(1)))[0].command_id) for _ in range(engine.DEFECTS_MAX + 1)}
    others = [str(submit(StartTransfer("ann", "bob", Decimal(1)))[0].command_id) for _ in range(12)]
    order_everything()

    def fall_over(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        if any(submission.correlation_id in poison for submission in submissions):
            raise ZeroDivisionError("a defect")
        return execute_in_one_transaction(submissions, **options)

    manager = ProcessManager()
    with monkeypatch.context() as patch:
        patch.setattr(engine, "execute_in_one_transaction", fall_over)
        with pytest.raises(InternalError):
            manager.work()
        assert unfinished() == len(poison)
        completed = {id_ for (id_,) in rows("SELECT aggregate_id FROM events WHERE event_type = 'TransferCompleted'")}
        assert completed >= {f"transfer:{id_}" for id_ in others}
    assert manager.work() == len(poison)
    assert_money_is_all_there()
