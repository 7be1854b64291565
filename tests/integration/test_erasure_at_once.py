"""An erasure that happens while a command is on its way: the text is sealed under the next key, or is erased with it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from ledger.domain.account import ERASED
from ledger.domain.commands import CreateAccount, Deposit, StartTransfer
from ledger.engine import writing
from ledger.engine.erasure import account_of, erase
from ledger.engine.sagas import ProcessManager
from ledger.store import log_key
from ledger.verify.run import Request, verify
from ledger.verify.tree_checks import Trust
from tests.erasure_world import in_event_store, shown
from tests.ledger_world import accepted
from tests.proof_world import sign, submit

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def erased_before_the_append(monkeypatch: pytest.MonkeyPatch) -> None:
    """Erase bob when the next command about him is decided and sealed, and not yet written."""
    submit(CreateAccount("ann", "Annabella", "USD", Decimal(100)), CreateAccount("bob", "Bobby", "USD"))
    append = writing.append

    def erasing(*arguments: Any) -> Any:
        monkeypatch.setattr(writing, "append", append)
        erase("bob", "request 17", "admin")
        return append(*arguments)

    monkeypatch.setattr(writing, "append", erasing)


def test_a_command_on_the_account_itself_is_decided_again_and_keeps_its_text(erased_before_the_append: None) -> None:
    accepted(Deposit("bob", Decimal(1), "Bobwages"))
    sign()
    assert "Bobwages" in shown("bob")
    assert "Bobby" not in shown("bob")


def test_a_transfer_in_steps_that_only_looked_at_it_is_of_before_the_erasure(erased_before_the_append: None) -> None:
    """Its start touches the source alone, so nothing conflicts; it is as if it had been started a moment sooner."""
    accepted(StartTransfer("ann", "bob", Decimal(10), "Bobrent"))
    sign()
    ProcessManager().work()
    accepted(StartTransfer("ann", "bob", Decimal(20), "Boblater"))
    sign()
    ProcessManager().work()
    sign()
    assert account_of("bob").balance_minor == 3_000, "whatever becomes of words, the money moves"
    for account_id in ("ann", "bob"):
        assert {ERASED, "Boblater"} <= set(shown(account_id))
        assert "Bobrent" not in shown(account_id)
    assert in_event_store(("Bobrent", "Bobby")) == {}
    trust = Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,))
    assert [str(fault) for fault in verify(Request(trust, processes=1, semantic=True)).faults] == []
