"""Where in the log something is: where an attack was made, and where it was found. A drill compares the two."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ledger.verify.faults import Fault, Kind

# What only a signed head tells: that something up to its size is not what was signed.
_TOLD_BY_A_HEAD = (Kind.HEAD, Kind.REWRITTEN)


@dataclass(frozen=True, slots=True)
class Place:
    """Positions from `first` to `last`, an event where it is one, or the name of a lock."""

    first: int | None = None
    last: int | None = None
    aggregate_id: str | None = None
    version: int | None = None
    lock: str = ""

    def __str__(self) -> str:
        named = [self.lock] if self.lock else []
        if self.first is not None:
            named.append(
                f"position {self.first}" if self.first == self.last else f"positions {self.first} to {self.last}"
            )
        if self.aggregate_id is not None:
            named.append(f"{self.aggregate_id} version {self.version}")
        return ", ".join(named) or "the log"

    def meets(self, other: Place) -> bool:
        """Return whether both are about the same event, the same lock, or positions that they share."""
        if self.lock or other.lock:
            return bool(self.lock and other.lock) and (self.lock in other.lock or other.lock in self.lock)
        if self.aggregate_id is not None and other.aggregate_id is not None:
            return (self.aggregate_id, self.version) == (other.aggregate_id, other.version)
        if self.first is None or self.last is None or other.first is None or other.last is None:
            return False
        return self.first <= other.last and other.first <= self.last


def place_of(fault: Fault, faults: Collection[Fault], kept: Collection[int], journal_size: int) -> Place:
    """Return where a fault is. `kept`: the sizes of the kept heads that all faults were looked for with.

    A head says only that something before it is not what was signed. The largest kept one that still holds says that
    it is after that.
    """
    if fault.kind not in _TOLD_BY_A_HEAD or fault.position is None:
        return Place(fault.position, fault.position, fault.aggregate_id, fault.version)
    last = min(told.position for told in faults if told.kind in _TOLD_BY_A_HEAD and told.position is not None)
    if last > journal_size:
        return Place(last, max(kept))
    return Place(max([0, *(size for size in kept if size < last)]) + 1, last)
