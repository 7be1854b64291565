"""One account's past, step by step: the event that made a balance so, the one before it and the one after.

Read from the event store itself, by index probes: an account with a million events costs as much as a new one.
Texts are opened, or erased: the past shows what may be read today.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.store import history
from ledger.store.recorded import RecordedEvent
from ledger.subjects.texts import open_recorded


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
    return _step(found.event, around, version, is_final=found.is_final)


def step_to(account_id: str, version: int) -> Step:
    """Return where an account stood at a version; an event that is there never changes."""
    around = history.events_of(account_id, [version - 1, version, version + 1])
    event = around.get(version)
    return _step(event, around, version, is_final=event is not None)


def _step(event: RecordedEvent | None, around: dict[int, RecordedEvent], version: int, *, is_final: bool) -> Step:
    found = {version - 1: around.get(version - 1), version: event, version + 1: around.get(version + 1)}
    there = [event for event in found.values() if event is not None]
    opened = {event.version: event for event in open_recorded(there)}
    return Step(opened.get(version), opened.get(version - 1), opened.get(version + 1), is_final)
