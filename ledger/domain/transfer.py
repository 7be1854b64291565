"""The transfer in steps: a saga with a history of its own, from the money reserved to the money moved or set free.

Started is its version 1; completed or failed, whichever comes first, is its version 2, and there is no third. So
the optimistic lock of this aggregate is what lets one process of many, one time, end it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ledger.domain.events import Event, TransferCompleted, TransferFailed, TransferStarted

AGGREGATE_TYPE = "transfer"
STARTED, COMPLETED, FAILED = "started", "completed", "failed"


@dataclass(frozen=True, slots=True)
class Transfer:
    """`failure`: the code that the settlement was refused with; empty unless it failed."""

    from_account_id: str
    to_account_id: str
    amount_minor: int
    currency: str
    description: str
    status: str = STARTED
    failure: str = ""


def evolve(transfer: Transfer | None, event: Event, effective_at: str) -> Transfer:
    """Return the transfer after one more of its events."""
    if isinstance(event, TransferStarted):
        assert transfer is None, "a transfer is started once"
        return Transfer(
            event.from_account_id, event.to_account_id, event.amount_minor, event.currency, event.description
        )
    assert transfer is not None, "only a transfer that was started has a history"
    assert transfer.status == STARTED, "a transfer ends once"
    match event:
        case TransferCompleted():
            return replace(transfer, status=COMPLETED)
        case TransferFailed(code=code):
            return replace(transfer, status=FAILED, failure=code)
        case _:
            raise AssertionError(f"{type(event).__name__} is not an event of a transfer")


_FIELD_NAMES = tuple(f.name for f in fields(Transfer))


def to_state(transfer: Transfer) -> dict[str, Any]:
    """Return the transfer as the JSON object stored in `events.state`."""
    return {name: getattr(transfer, name) for name in _FIELD_NAMES}


def from_state(state: dict[str, Any]) -> Transfer:
    return Transfer(**state)
