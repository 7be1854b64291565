"""Where events come from when the bus does not bring them: the one door from the read side to the journal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from ledger.errors import JournalGap, StoreUnavailable
from ledger.store import journal
from ledger.store.hashing import NO_HASH
from ledger.store.journal import Sequenced
from projections.intake import ChainBroken

__all__ = ["NO_HASH", "Sequenced", "head_position", "read_at", "read_range", "running_hash_at"]
# Beyond what the pool and the server may take for one batch (5 s and 30 s): then the connection itself is dead.
READ_S_MAX = 40.0


def head_position() -> int:
    return journal.head().position


def read_range(after: int, up_to: int) -> Iterator[list[Sequenced]]:
    """Yield batches of events from position `after` + 1 to `up_to`. Raises: ChainBroken, StoreUnavailable.

    **Why** a thread: while one batch is applied the event store already looks up the next. Nobody waits for it
    longer than a read can take, and whoever stops in the middle does not wait for the batch it will not see.
    """
    batches = journal.read_all(after, up_to)
    reader = ThreadPoolExecutor(1, thread_name_prefix="journal")
    try:
        upcoming = reader.submit(next, batches, None)
        while (batch := _arrived(upcoming)) is not None:
            upcoming = reader.submit(next, batches, None)
            yield batch
    finally:
        reader.shutdown(wait=False, cancel_futures=True)


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


def _arrived(upcoming: Future[list[Sequenced] | None]) -> list[Sequenced] | None:
    try:
        with _gap_is_a_break():
            return upcoming.result(READ_S_MAX)
    except TimeoutError as error:
        raise StoreUnavailable(f"the event store has not answered for {READ_S_MAX:.0f} s") from error


@contextmanager
def _gap_is_a_break() -> Iterator[None]:
    """Whoever folds the journal cannot go past a position that is not there."""
    try:
        yield
    except JournalGap as error:
        raise ChainBroken(error.detail) from error
