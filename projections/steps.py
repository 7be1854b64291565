"""One account's past, step by step: the event that made a balance so, the one before it and the one after.

Read from the event store itself, by index probes: an account with a million events costs as much as a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.store import history
from ledger.store.recorded import RecordedEvent


@dataclass(frozen=True, slots=True)
class Step:
    """`event` is None before the account's first. `is_final`: no later look will find another."""

    event: RecordedEvent | None
    before: RecordedEvent | None
    after: RecordedEvent | None
    is_final: bool


def step_at(account_id: str, instant: datetime) -> Step:
    """Return where an account stood at an instant, by recorded_at, to the microsecond."""
    found = history.state_at(account_id, instant)
    version = found.event.version if found.event else 0
    around = history.events_of(account_id, [version - 1, version + 1])
    return Step(found.event, around.get(version - 1), around.get(version + 1), found.is_final)


def step_to(account_id: str, version: int) -> Step:
    """Return where an account stood at a version; an event that is there never changes."""
    around = history.events_of(account_id, [version - 1, version, version + 1])
    event = around.get(version)
    return Step(event, around.get(version - 1), around.get(version + 1), is_final=event is not None)
