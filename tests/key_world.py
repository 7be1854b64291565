"""Short words for tests of the log's keys: one gives way to another, and what verification says then."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command

from ledger.domain.commands import Deposit
from ledger.store import log_key
from ledger.store.signed_note import Verifier
from ledger.store.succession import Trust
from ledger.verify.faults import Fault
from ledger.verify.run import Request, verify
from tests.proof_world import Decimal, rows, sign, small_history, submit


def current() -> Verifier:
    return log_key.load_signer().verifier


def rotate() -> None:
    call_command("rotate_log_key", verbosity=0)


def found(key: Verifier, **options: Any) -> list[Fault]:
    return verify(Request(Trust(settings.LOG_ORIGIN, (key,)), processes=1, **options)).faults


def rotated_history() -> tuple[Verifier, Verifier]:
    """Ten positions under the first key, the change at position 11, an event more under the second."""
    small_history()
    first = current()
    rotate()
    sign()
    submit(Deposit("ann", Decimal(1)))
    sign()
    return first, current()


def succession_key() -> str:
    """Return the key that the log named last."""
    return str(
        rows("SELECT data ->> 'new_key' FROM events WHERE aggregate_id = 'log:keys' ORDER BY version DESC")[0][0]
    )
