"""What became of a command: its events, with their positions as soon as the journal has given them some."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from ledger.store import event_store, history, journal
from ledger.store.recorded import RecordedEvent, event_id_of

# Younger than this, its arrival in the stream is still to be seen, or worth being seen once more.
FRESH_MAX = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Result:
    """`after`: the position to follow the stream from so that every event of the command is still to come."""

    command_id: UUID
    command_type: str
    actor: str
    events: list[tuple[RecordedEvent, int | None]]
    after: int | None

    @property
    def position(self) -> int | None:
        return self.events[0][1]

    @property
    def is_ordered(self) -> bool:
        return self.position is not None

    @property
    def names(self) -> dict[str, Any]:
        """The ids that the command made, for the commands that come after it."""
        data = self.events[0][0].data
        return {name: data[name] for name in ("transfer_id", "hold_id") if data.get(name)}


def result_of(command_id: UUID) -> Result | None:
    """Return the events of an accepted command, or None when there is none of this id."""
    # The head first: what has no position after it will get a higher one.
    head = journal.head().position
    found = history.find_event(event_id_of(command_id, 0))
    if found is None:
        return None
    first, position, _ = found
    ids = [event_id_of(command_id, index) for index in range(first.metadata["command_size"])]
    events = event_store.read_events(ids)
    # A command's events are ordered together: its first position gives those of the others.
    placed = [(events[id_], None if position is None else position + index) for index, id_ in enumerate(ids)]
    is_fresh = timezone.now() - first.recorded_at < FRESH_MAX
    after = (head if position is None else position - 1) if is_fresh or position is None else None
    return Result(command_id, first.metadata["command_type"], first.metadata["actor"], placed, after)
