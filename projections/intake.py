"""Intake: which of the events that arrived may be applied next. Order, gaps, whole commands, the running hash.

It knows what has been taken so far and nothing of databases. From the bus it takes only what continues that,
and otherwise says so; from the journal, which is the truth, an event that does not continue it is an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.store.hashing import extend_running_hash
from ledger.store.journal import Sequenced
from ledger.store.recorded import hash_of


class ChainBroken(Exception):
    """The journal does not continue the history that the read model was built on. Nobody but a person can say why."""


class Intake:
    """`position`, `running_hash`: of the last event handed out, always the last one of a command."""

    def __init__(self, position: int, running_hash: bytes) -> None:
        self.position = position
        self.running_hash = running_hash
        # The beginning of a command whose end has not arrived; its events are checked already.
        self._unfinished: list[Sequenced] = []

    @property
    def is_between_commands(self) -> bool:
        return not self._unfinished

    def forget(self) -> None:
        """Drop the command that is not all there: it will come again."""
        self._unfinished = []

    def from_bus(self, arrived: Sequence[Sequenced]) -> list[Sequenced] | None:
        """Return the whole commands that may be applied now, or None when the journal has to be asked.

        **Shape** gapless from `position` + 1. Events seen before are left out.
        """
        known = self._unfinished[-1] if self._unfinished else None
        position, running_hash = (known.position, known.running_hash) if known else (self.position, self.running_hash)
        fresh = [s for s in arrived if s.position > position]
        is_run = [s.position for s in fresh] == list(range(position + 1, position + 1 + len(fresh)))
        if not is_run or first_break(fresh, running_hash) or self._lacks_beginning(fresh):
            self.forget()
            return None
        return self._whole(fresh)

    def from_journal(self, events: Sequence[Sequenced]) -> list[Sequenced]:
        """Return the whole commands that may be applied now. Raises: ChainBroken."""
        running_hash = self._unfinished[-1].running_hash if self._unfinished else self.running_hash
        if wrong := first_break(events, running_hash):
            raise ChainBroken(
                f"the journal's event {wrong.position} does not continue the history this read model was built on"
            )
        if self._lacks_beginning(events):
            raise ChainBroken(f"the journal's event {events[-1].position} is of a command that begins too early")
        return self._whole(events)

    def _lacks_beginning(self, fresh: Sequence[Sequenced]) -> bool:
        """Say whether the last event claims more events of its command before it than there are."""
        return bool(fresh) and fresh[-1].command_index >= len(self._unfinished) + len(fresh)

    def _whole(self, fresh: Sequence[Sequenced]) -> list[Sequenced]:
        events = [*self._unfinished, *fresh]
        last = events[-1] if events else None
        is_whole = last is None or last.command_index + 1 == last.command_size
        cut = len(events) if last is None or is_whole else len(events) - 1 - last.command_index
        whole, self._unfinished = events[:cut], events[cut:]
        if whole:
            self.position, self.running_hash = whole[-1].position, whole[-1].running_hash
        return whole


def first_break(events: Sequence[Sequenced], running_hash: bytes) -> Sequenced | None:
    """Return the first event that does not continue the running hash, or whose content is not its hash's."""
    for sequenced in events:
        running_hash = extend_running_hash(running_hash, sequenced.event.hash)
        if running_hash != sequenced.running_hash or not _is_genuine(sequenced):
            return sequenced
    return None


def _is_genuine(sequenced: Sequenced) -> bool:
    event = sequenced.event
    # The hash covers the place in the command that is in the metadata; the one that is cut by has to be the same.
    place = (event.metadata.get("command_index"), event.metadata.get("command_size"))
    try:
        return hash_of(event) == event.hash and place == (sequenced.command_index, sequenced.command_size)
    except TypeError:  # an integer or a float that no event can hold
        return False
