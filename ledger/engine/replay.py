"""Idempotency: the stored answer of a key, and how it becomes an outcome again.

An accepted command stores its command_id and its number of events, from which the ids of all its events
follow; a refusal stores its code and fields. Malformed, unknown and conflicting requests leave no key: they
wrote nothing, and the same request may be right later.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ledger.domain.errors import LedgerError
from ledger.engine.submission import Accepted, Outcome, Rejected
from ledger.store.recorded import RecordedEvent, event_id_of


class StoredRefusal(LedgerError):
    """A refusal as it was answered the first time."""

    def __init__(self, code: str, status: int, detail: str, fields: dict[str, Any]) -> None:
        super().__init__(detail, **fields)
        self.code = code  # type: ignore[misc]
        self.status = status  # type: ignore[misc]


def to_stored(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Accepted(command_id=command_id, events=events):
            return {"command_id": str(command_id), "size": len(events)}
        case Rejected(error=error):
            return {"code": error.code, "status": error.status, "detail": error.detail, "fields": error.fields}


def event_ids_in(stored: dict[str, Any]) -> list[UUID]:
    """Return the ids of the events a stored answer speaks of; none for a refusal."""
    if "command_id" not in stored:
        return []
    command_id = UUID(stored["command_id"])
    return [event_id_of(command_id, index) for index in range(stored["size"])]


def from_stored(stored: dict[str, Any], events: dict[UUID, RecordedEvent]) -> Outcome:
    """Return the outcome as first answered, marked as a replay."""
    if "command_id" in stored:
        found = tuple(events[event_id] for event_id in event_ids_in(stored))
        return Accepted(UUID(stored["command_id"]), found, replayed=True)
    error = StoredRefusal(stored["code"], stored["status"], stored["detail"], stored["fields"])
    return Rejected(error, replayed=True)
