"""The reversal: how much of one command has been taken back.

Its id is that of the command it is about. Every reversal of a command is an event here, so the optimistic lock
of this aggregate is what keeps two of them that come at once from taking back more than there was.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ledger.domain.events import CommandReversed, Event

AGGREGATE_TYPE = "reversal"


@dataclass(frozen=True, slots=True)
class Reversal:
    """Amounts are those of the command's first money event; what its others moved follows from it."""

    currency: str
    original_minor: int
    reversed_minor: int


def evolve(reversal: Reversal | None, event: Event, effective_at: str) -> Reversal:
    """Return the reversal after one more of its events."""
    assert isinstance(event, CommandReversed), f"{type(event).__name__} is not an event of a reversal"
    if reversal is None:
        return Reversal(event.currency, event.original_minor, event.amount_minor)
    return replace(reversal, reversed_minor=reversal.reversed_minor + event.amount_minor)


_FIELD_NAMES = tuple(f.name for f in fields(Reversal))


def to_state(reversal: Reversal) -> dict[str, Any]:
    """Return the reversal as the JSON object stored in `events.state`."""
    return {name: getattr(reversal, name) for name in _FIELD_NAMES}


def from_state(state: dict[str, Any]) -> Reversal:
    return Reversal(**state)
