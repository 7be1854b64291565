"""The original of a reversal: a recorded command, as far as taking it back is concerned.

Events never change, so an original is looked up before anything is decided, wherever that happens: by the
engine in the store, by `verify_ledger` in the store again, by an offline verifier in its bundle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.domain.events import HoldCaptured, MoneyDeposited, MoneyWithdrawn, from_data

MOVES_MONEY = (MoneyDeposited, MoneyWithdrawn, HoldCaptured)


@dataclass(frozen=True, slots=True)
class OriginalLeg:
    """One money event of the original."""

    event_id: str
    account_id: str
    event: MoneyDeposited | MoneyWithdrawn | HoldCaptured


@dataclass(frozen=True, slots=True)
class Original:
    """`legs`: the command's money events in their order; none for a command that moved no money."""

    command_id: str
    legs: tuple[OriginalLeg, ...]

    @property
    def is_reversal(self) -> bool:
        return any(leg.event.reverses for leg in self.legs if not isinstance(leg.event, HoldCaptured))

    @property
    def is_divisible(self) -> bool:
        """Return whether a part of it has one meaning: one side, or two sides of one currency."""
        return len(self.legs) == 1 or (len(self.legs) == 2 and len({leg.event.currency for leg in self.legs}) == 1)


def original_of(command_id: str, events: Iterable[Sequence[Any]]) -> Original:
    """Return the original of a command's events, each (event_id, aggregate_id, event_type, data, schema_version)."""
    legs = []
    for event_id, aggregate_id, *stored in events:
        event = from_data(*stored)
        if isinstance(event, MOVES_MONEY):
            legs.append(OriginalLeg(event_id, aggregate_id, event))
    return Original(command_id, tuple(legs))
