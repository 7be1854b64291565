"""Where events come from when the bus does not bring them: the one door from the read side to the journal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ledger.store import journal
from ledger.store.hashing import NO_HASH
from ledger.store.journal import Sequenced

__all__ = ["NO_HASH", "Sequenced", "head_position", "read_at", "read_range", "running_hash_at"]


def head_position() -> int:
    return journal.head().position


def read_range(after: int, up_to: int) -> Iterator[list[Sequenced]]:
    """Yield batches of events from position `after` + 1 to `up_to`.

    **Why** a thread: while one batch is applied the event store already looks up the next.
    """
    batches = journal.read_all(after, up_to)
    with ThreadPoolExecutor(1, thread_name_prefix="journal") as reader:
        upcoming = reader.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = reader.submit(next, batches, None)
            yield batch


def read_at(position: int) -> Sequenced | None:
    """Return the event at a position, or None when the journal does not reach it."""
    found = journal.read(position - 1, 1)
    return found[0] if found else None


def running_hash_at(position: int) -> bytes | None:
    """Return the journal's running hash at a position, or None when the journal does not reach it."""
    if position == 0:
        return NO_HASH
    sequenced = read_at(position)
    return sequenced.running_hash if sequenced else None
