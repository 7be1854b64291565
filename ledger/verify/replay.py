"""Replays one event: the state before it, evolved, is the state stored with it."""

from __future__ import annotations

from typing import Any

from ledger.domain import aggregates
from ledger.domain.events import from_data
from ledger.domain.instants import format_instant
from ledger.verify.rows import Row

# What data raises that no command of ours wrote.
_UNREADABLE = (AssertionError, AttributeError, KeyError, TypeError, ValueError)


def read_state(aggregate_type: str, state: dict[str, Any]) -> Any:
    """Return a stored state, or None for one that cannot be read: its own row says so."""
    try:
        return aggregates.BY_TYPE[aggregate_type].read(state)
    except _UNREADABLE:
        return None


def replay(before: Any, row: Row) -> tuple[Any, str | None]:
    """Return the state after a row, as stored, and how it differs from what replaying gives, if it does."""
    try:
        aggregate = aggregates.BY_TYPE[row.aggregate_type]
        fact = from_data(row.event_type, row.data, row.schema_version)
        replayed = aggregate.evolve(before, fact, format_instant(row.effective_at))
        if aggregate.write(replayed) == row.state:
            return replayed, None
        # A field that the domain has had since a later version is not in older states.
        stored = aggregate.read(row.state)
    except _UNREADABLE as error:
        return read_state(row.aggregate_type, row.state), f"cannot be replayed: {type(error).__name__}: {error}"
    return stored, None if stored == replayed else _difference(stored, replayed)


def _difference(stored: Any, replayed: Any) -> str:
    name = next(name for name in stored.__slots__ if getattr(stored, name) != getattr(replayed, name))
    return f"{name} is stored as {getattr(stored, name)!r}, replaying gives {getattr(replayed, name)!r}"
