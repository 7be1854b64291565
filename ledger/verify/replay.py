"""Replays one event: the state before it, evolved, is the state stored with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.domain import account as accounts
from ledger.domain.events import Event, from_data
from ledger.domain.instants import format_instant
from ledger.store.recorded import RecordedEvent

# Per aggregate type: how its state is read, and how an event changes it.
_AGGREGATES: dict[str, tuple[Callable[[dict[str, Any]], Any], Callable[[Any, Event, str], Any]]] = {
    accounts.AGGREGATE_TYPE: (accounts.from_state, accounts.evolve),
}


def difference(before: dict[str, Any] | None, event: RecordedEvent) -> str | None:
    """Return how the stored state differs from the replayed one, or None when it does not."""
    if event.aggregate_type not in _AGGREGATES:
        return f"{event.aggregate_type!r} is no aggregate type"
    from_state, evolve = _AGGREGATES[event.aggregate_type]
    try:
        fact = from_data(event.event_type, event.data, event.schema_version)
        replayed = evolve(None if before is None else from_state(before), fact, format_instant(event.effective_at))
        stored = from_state(event.state)
    except (AssertionError, KeyError, TypeError) as error:
        # Data that no command of ours writes; what it is about is in the sentence.
        return f"the event cannot be replayed: {type(error).__name__}: {error}"
    if stored == replayed:
        return None
    fields = [name for name in stored.__slots__ if getattr(stored, name) != getattr(replayed, name)]
    name = fields[0]
    return f"{name} is stored as {getattr(stored, name)!r}, replaying gives {getattr(replayed, name)!r}"
