"""Where events come from when the bus does not bring them: the one door from the read side to the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ledger.errors import JournalGap, StoreUnavailable
from ledger.store import journal
from ledger.store.hashing import NO_HASH
from ledger.store.journal import Sequenced
from projections.intake import ChainBroken, Intake
from projections.projection import Batch

__all__ = ["NO_HASH", "Sequenced", "ahead", "head_position", "read_at", "read_range", "running_hash_at"]
# Beyond what the pool and the server may take for one batch (5 s and 30 s): then the connection itself is dead.
READ_S_MAX = 40.0
T = TypeVar("T")


def head_position() -> int:
    return journal.head().position


def read_range(after: int, up_to: int) -> Iterator[list[Sequenced]]:
    """Yield batches of events from position `after` + 1 to `up_to`. Raises: ChainBroken, StoreUnavailable."""
    return ahead(_without_gaps(journal.read_all(after, up_to)))


def batches(intake: Intake, up_to: int, size_max: int) -> Iterator[Batch]:
    """Yield what follows an intake up to a position: whole commands, about so many events at a time.

    Raises: ChainBroken, StoreUnavailable. The intake may be ahead of what was yielded, by the rest of what it read.
    """
    for arrived in read_range(intake.position, up_to):
        for events in split(intake.from_journal(arrived), size_max):
            yield Batch(events)


def read_at(position: int) -> Sequenced | None:
    """Return the event at a position, or None when the journal does not reach it, or lacks it."""
    found = journal.read(position - 1, 1)
    return found[0] if found else None


def running_hash_at(position: int) -> bytes | None:
    """Return the journal's running hash at a position, or None when the journal does not reach it."""
    if position == 0:
        return NO_HASH
    sequenced = read_at(position)
    return sequenced.running_hash if sequenced else None


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items, each made while the one before is worked on. Raises: what making them does, StoreUnavailable.

    **Why** a thread: while one batch is worked on the event store already looks up the next. Nobody waits for it
    longer than a read can take, and whoever stops in the middle does not wait for the batch it will not see.
    """
    worker = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        upcoming = worker.submit(next, items, None)
        while (item := _in_time(upcoming)) is not None:
            upcoming = worker.submit(next, items, None)
            yield item
    finally:
        worker.shutdown(wait=False, cancel_futures=True)


def split(events: Sequence[Sequenced], size_max: int) -> Iterator[Sequence[Sequenced]]:
    """Yield whole commands, about `size_max` events at a time."""
    start = 0
    while start < len(events):
        end = min(start + size_max, len(events))
        while end < len(events) and events[end].command_index:
            end += 1
        yield events[start:end]
        start = end


def _in_time(upcoming: Future[T | None]) -> T | None:
    try:
        return upcoming.result(READ_S_MAX)
    except TimeoutError as error:
        raise StoreUnavailable(f"the event store has not answered for {READ_S_MAX:.0f} s") from error


def _without_gaps(items: Iterator[list[Sequenced]]) -> Iterator[list[Sequenced]]:
    """Whoever folds the journal cannot go past a position that is not there."""
    try:
        yield from items
    except JournalGap as error:
        raise ChainBroken(error.detail) from error
