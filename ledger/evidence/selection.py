"""Which events a bundle is about, and what it may state about their being all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.domain.instants import format_instant
from ledger.errors import Malformed
from ledger.store.connection import translated
from ledger.store.recorded import RecordedEvent
from ledger.store.sql import EVENT_COLUMNS
from ledger.store.tree import Connection

# A bundle is held in memory while it is made: 100,000 events are some 300 MB.
EVENTS_MAX = 100_000
Positioned = list[tuple[int, RecordedEvent]]
_FROM = f"""
SELECT j.position, {EVENT_COLUMNS} FROM journal AS j
JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version WHERE j.position <= %s AND
"""
_END = f"ORDER BY j.position LIMIT {EVENTS_MAX + 1}"


class TooMuchEvidence(Malformed):
    """More events than one bundle holds: ask for a shorter period."""

    code = "too_much_evidence"


@dataclass(frozen=True, slots=True)
class Selection:
    """One of: an account, some events, a period of recorded_at (its end not included)."""

    account_id: str | None = None
    event_ids: tuple[UUID, ...] = ()
    period: tuple[datetime, datetime] | None = None

    @property
    def what(self) -> str:
        if self.account_id is not None:
            return f"account {self.account_id}"
        if self.period is not None:
            return f"the period from {format_instant(self.period[0])} to {format_instant(self.period[1])}"
        return f"{len(self.event_ids)} chosen events"

    def read(self, conn: Connection, up_to: int) -> Positioned:
        """Return the events with their positions, in order. Raises: TooMuchEvidence."""
        parameters: tuple[Any, ...]
        if self.account_id is not None:
            condition, parameters = "j.aggregate_id = %s", (self.account_id,)
        elif self.period is not None:
            condition, parameters = "e.recorded_at >= %s AND e.recorded_at < %s", self.period
        else:
            condition, parameters = "e.event_id = ANY(%s)", (list(self.event_ids),)
        with translated():
            rows = conn.execute(f"{_FROM} {condition} {_END}", (up_to, *parameters), binary=True).fetchall()
        if len(rows) > EVENTS_MAX:
            raise TooMuchEvidence(f"a bundle holds at most {EVENTS_MAX} events")
        return [(row[0], RecordedEvent(*row[1:])) for row in rows]

    def statements(self, events: Sequence[tuple[int, RecordedEvent]], tree_size: int) -> list[str]:
        """Return what the signed manifest states beyond what the proofs prove."""
        lines = [f"{self.what}, as of tree size {tree_size}"]
        if self.account_id is not None:
            last = events[-1][1].version
            lines.append(f"{self.account_id} has versions 1 to {last} and no other at tree size {tree_size}")
        elif self.period is not None:
            lines.append(f"these {len(events)} are all events of the period at tree size {tree_size}")
        return lines
