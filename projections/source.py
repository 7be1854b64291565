"""Where events come from when the bus does not bring them: the one door from the read side to the journal."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.store import journal
from ledger.store.hashing import NO_HASH, extend_running_hash
from ledger.store.journal import Sequenced
from ledger.store.recorded import hash_of

__all__ = ["NO_HASH", "Sequenced", "breaks_chain", "head_position", "read_range"]


def head_position() -> int:
    return journal.head().position


def read_range(after: int, up_to: int) -> Iterator[list[Sequenced]]:
    """Yield batches of events from position `after` + 1 to `up_to`."""
    return journal.read_all(after, up_to)


def breaks_chain(events: list[Sequenced], running_hash: bytes) -> Sequenced | None:
    """Return the first event that does not continue the running hash, or whose content is not its hash's."""
    for sequenced in events:
        running_hash = extend_running_hash(running_hash, sequenced.event.hash)
        if running_hash != sequenced.running_hash or hash_of(sequenced.event) != sequenced.event.hash:
            return sequenced
    return None
