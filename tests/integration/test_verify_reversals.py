"""verify_ledger --semantic against reversals that no rule would have let through, written with right hashes."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from ledger.domain import reversing
from ledger.domain.commands import Command, CreateAccount, Deposit, Exchange, Reverse, Transfer
from ledger.domain.events import MoneyDeposited
from ledger.domain.original import Original, OriginalLeg
from ledger.engine import transaction
from ledger.engine.execute import execute
from ledger.engine.submission import Submission
from ledger.verify.faults import Kind
from tests.integration.test_verify_ledger import faults
from tests.proof_world import sign, submit

pytestmark = pytest.mark.usefixtures("clean_stores")


def illegal() -> list[str]:
    found = faults(semantic=True)
    assert {fault.kind for fault in found} <= {Kind.ILLEGAL}, "hashes, chains, states and books are all right"
    return [fault.detail for fault in found]


def commit(*commands: Command) -> list[str]:
    """Submit commands and return their ids."""
    return [str(outcome.command_id) for outcome in submit(*commands)]


def test_legal_reversals_of_every_kind_are_found_legal() -> None:
    commit(CreateAccount("ann", "Ann", "USD", Decimal(100)), CreateAccount("bob", "Bob", "USD"))
    commit(CreateAccount("eve", "Eve", "EUR"))
    deposit, transfer, exchange = commit(
        Deposit("ann", Decimal(10)), Transfer("ann", "bob", Decimal(30)), Exchange("ann", "eve", Decimal(3), Decimal(2))
    )
    commit(Reverse("part", command_id=deposit, amount=Decimal(4)), Reverse("rest", command_id=deposit))
    commit(Reverse("wrong", command_id=transfer), Reverse("wrong", command_id=exchange))
    sign()
    assert illegal() == []


def test_reversals_that_add_up_to_more_than_the_original_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    commit(CreateAccount("ann", "Ann", "USD", Decimal(100)))
    (deposit,) = commit(Deposit("ann", Decimal(10)))
    commit(Reverse("part", command_id=deposit, amount=Decimal(4)))
    with monkeypatch.context() as patch:
        patch.setattr(reversing, "_check_left", lambda *_: None)
        commit(Reverse("more", command_id=deposit, amount=Decimal("6.01")))
    sign()
    (detail,) = illegal()
    assert detail.startswith("reversal_exceeded")


def test_the_reversal_of_what_does_not_exist_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    commit(CreateAccount("ann", "Ann", "USD", Decimal(100)))
    deposited = MoneyDeposited(1_000, "USD", "external:USD", "")
    made_up = Original(str(uuid4()), (OriginalLeg(str(uuid4()), "ann", deposited),))
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "with_originals", lambda submissions: submissions)
        command = Reverse("made up", command_id=made_up.command_id, original=made_up)
        execute([Submission(command, actor="mallory")])
    sign()
    (detail,) = illegal()
    assert detail.startswith("original_not_found")


def test_the_reversal_of_another_amount_than_was_recorded_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    commit(CreateAccount("ann", "Ann", "USD", Decimal(100)))
    (event,) = submit(Deposit("ann", Decimal(10)))[0].events
    inflated = MoneyDeposited(2_000, "USD", "external:USD", "")
    original = Original(str(event.metadata["command_id"]), (OriginalLeg(str(event.event_id), "ann", inflated),))
    with monkeypatch.context() as patch:
        patch.setattr(transaction, "with_originals", lambda submissions: submissions)
        execute([Submission(Reverse("more", command_id=original.command_id, original=original), "mallory")])
    sign()
    (detail,) = illegal()
    assert detail.startswith("reversal_exceeded")
