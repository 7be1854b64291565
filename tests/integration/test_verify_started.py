"""verify_ledger --semantic, and the rules in a bundle, against a transfer in steps to a target that never was."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ledger.domain.account import Account
from ledger.domain.commands import Command, CreateAccount, StartTransfer
from ledger.domain.decide import Context, Decided
from ledger.drill.forgery import Forgery
from ledger.engine import plan
from ledger.engine.erasure import erase
from ledger.evidence import verify_evidence
from ledger.store import log_key
from ledger.verify.faults import Kind
from tests.integration.test_verify_ledger import faults
from tests.proof_world import sign, submit, tamper
from tests.servers import Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores")


def check_with_rules(bundle: Path) -> None:
    period = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    call_command("export_evidence", "--period", *period, "--output", str(bundle))
    verify_evidence.check_bundle(bundle, log_key.load_signer().verifier.vkey, rules=True)


@pytest.fixture
def decides_blindly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer whose rules take it that every account is there."""
    decide = plan.decide

    def deciding(command: Command, state: dict[str, Any], context: Context) -> list[Decided]:
        if isinstance(command, StartTransfer):
            state = {**state, "nobody": Account("", "USD", "2026-01-01T00:00:00.000000Z")}
        return decide(command, state, context)

    monkeypatch.setattr(plan, "decide", deciding)


def test_a_transfer_in_steps_to_an_account_that_never_was_is_found(
    decides_blindly: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)))
    submit(StartTransfer("ann", "nobody", Decimal(7)))
    sign()
    assert faults() == [], "hashes, chains, states and books are all right"
    (fault,) = faults(semantic=True)
    assert (fault.kind, fault.position) == (Kind.ILLEGAL, 3)
    assert fault.detail.startswith("account_not_found: ")
    check_with_rules(tmp_path / "evidence.zip")
    assert "whether the targets of 1 ever existed is not in the bundle" in capsys.readouterr().out


def test_a_target_that_was_opened_only_afterwards_is_found(decides_blindly: None, tmp_path: Path) -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)))
    submit(StartTransfer("ann", "nobody", Decimal(7)))
    sign()
    submit(CreateAccount("nobody", "Nobody", "USD"))
    sign()
    assert [fault.kind for fault in faults(semantic=True)] == [Kind.ILLEGAL]
    with pytest.raises(verify_evidence.Broken, match="would have been refused: account_not_found"):
        check_with_rules(tmp_path / "evidence.zip")


def test_a_target_in_another_currency_is_found(stack: Servers) -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)), CreateAccount("bob", "Bob", "USD"))
    submit(StartTransfer("ann", "bob", Decimal(7)))
    sign()
    assert faults(semantic=True) == []
    tamper(stack, "UPDATE events SET data = jsonb_set(data, '{currency}', '\"EUR\"'), "
                  "state = jsonb_set(state, '{currency}', '\"EUR\"') WHERE aggregate_id = 'bob'")  # fmt: skip
    forgery = Forgery(libpq(stack.event_store_owner_url))
    forgery.rehash_from("bob", 1)
    forgery.resign(log_key.load_signer())
    (fault,) = faults(semantic=True)
    assert fault.detail.startswith("currency_mismatch: ")


def test_a_target_opened_in_the_same_call_or_erased_since_is_legal(tmp_path: Path) -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(9)))
    submit(*(CreateAccount(f"bob-{number}", "Bob", "USD") for number in range(9)),
           *(StartTransfer("ann", f"bob-{number}", Decimal(1)) for number in range(9)))  # fmt: skip
    erase("bob-1", "request 17", "admin")
    sign()
    assert faults(semantic=True) == []
    check_with_rules(tmp_path / "evidence.zip")
