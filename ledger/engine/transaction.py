"""One transaction of the engine: attempts at a list of commands, until one of them is written.

Round trips: one to read, one to append, however many commands; the first is spared on accounts that this process
wrote to last. Every accepted command takes effect exactly
once: its event ids follow from its command_id, so a second execution of it cannot commit, and after a broken
COMMIT the next attempt finds the first one's events instead of guessing. A refusal that nobody heard of is found by a
key, the caller's or the command's own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache
from uuid import UUID

from ledger.engine.originals import with_originals
from ledger.engine.plan import Plan
from ledger.engine.replay import event_ids_in
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Outcome, Submission
from ledger.engine.writing import Writing, writing_from_memory
from ledger.errors import Busy, CommitUnknown, StoreConflict, StoreUnavailable, TooLate
from ledger.store import event_store
from ledger.store.event_store import Snapshot
from ledger.store.recorded import event_id_of
from ledger.subjects.connection import KeysUnavailable

# With eight writers on one account every round lets one through: 30 rounds, or the deadline, whichever is first.
ATTEMPTS_MAX = 30
RETRY_S_MAX = 10.0
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.001, 0.25


class Past(Enum):
    """What is known of earlier attempts at the very same submissions."""

    NONE = "there was none, by this call"
    FAILED = "none of them was written"
    UNHEARD = "one of them may have been written, or may still be on its way"


def execute_in_one_transaction(
    submissions: Sequence[Submission],
    *,
    atomic: bool = False,
    dry_run: bool = False,
    may_be_written: bool = False,
    on_commit: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Execute commands in order, in one transaction, and return an outcome for each; `execute` says the rest."""
    deadline = time.monotonic() + RETRY_S_MAX
    past, last_error = Past.UNHEARD if may_be_written else Past.NONE, None
    for attempt in range(ATTEMPTS_MAX):
        try:
            return _attempt(submissions, atomic, dry_run, past, on_commit)
        except (StoreConflict, CommitUnknown, StoreUnavailable) as error:
            last_error = error
            is_unheard = past is Past.UNHEARD or isinstance(error, CommitUnknown)
            past = Past.UNHEARD if is_unheard else Past.FAILED
        pause_s = random.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**attempt))  # noqa: S311 (jitter)
        if time.monotonic() + pause_s > deadline:
            break
        time.sleep(pause_s)
    if isinstance(last_error, StoreConflict) and past is Past.FAILED:
        raise _busy(last_error, len(submissions), atomic, attempt + 1) from last_error
    if isinstance(last_error, KeysUnavailable):
        raise last_error
    raise StoreUnavailable("the event store does not answer") from last_error


def _busy(error: StoreConflict, count: int, atomic: bool, attempts: int) -> Busy:
    if not isinstance(error, TooLate):
        return Busy("too many writers want the same account; try again", attempts=attempts)
    limit_s = event_store.FINAL_AFTER.total_seconds()
    what = f"{count} commands that are all or nothing" if atomic and count > 1 else "it"
    return Busy(
        f"{what} could not be written within {limit_s:.0f} s; try again, with fewer commands in one call",
        attempts=attempts,
    )


def _attempt(submissions: Sequence[Submission], atomic: bool, dry_run: bool, past: Past,
             on_commit: Callable[[], None]) -> list[Outcome]:  # fmt: skip
    submissions = with_originals(submissions)
    aggregate_ids = sorted({id_ for s in submissions for id_ in s.command.aggregate_ids})
    read = _reader(submissions, aggregate_ids, past)
    writing = None
    if past is Past.NONE and not dry_run:
        writing = writing_from_memory(submissions, aggregate_ids, read, atomic=atomic)
    if writing is None:
        snapshot = read()
        sealer = Sealer(submissions, snapshot.heads, dry_run=dry_run)
        plan = Plan(snapshot, sealer, atomic=atomic, is_unheard=past is Past.UNHEARD)
        writing = Writing(plan, snapshot)
        if dry_run:
            writing.decide(submissions)
        elif atomic or past is not Past.NONE:
            writing.write_whole(submissions)
        else:
            writing.write(submissions)
    if writing.is_committed:
        on_commit()
    return writing.plan.outcomes


def _reader(submissions: Sequence[Submission], aggregate_ids: Sequence[str], past: Past) -> Callable[[], Snapshot]:
    """Return what reads everything that these commands are decided on, once, however often it is called."""

    @cache
    def read() -> Snapshot:
        keys = {s.stored_key for s in submissions if s.stored_key is not None}
        if past is Past.UNHEARD:
            keys.update(s.own_key for s in submissions)
        # Only after a failed attempt can a command of ours be in the store already.
        first_event_ids = [] if past is Past.NONE else [event_id_of(s.command_id, 0) for s in submissions]
        snapshot = event_store.read(aggregate_ids, sorted(keys), first_event_ids)
        _read_whole_answers(snapshot)
        return snapshot

    return read


def _read_whole_answers(snapshot: Snapshot) -> None:
    """Fetch the events that stored answers and earlier attempts speak of; a round trip only when there are any."""
    wanted: set[UUID] = {id_ for _, stored in snapshot.keys.values() for id_ in event_ids_in(stored)}
    for event in snapshot.events.values():
        command_id, size = UUID(event.metadata["command_id"]), event.metadata["command_size"]
        wanted.update(event_id_of(command_id, index) for index in range(size))
    if missing := wanted - snapshot.events.keys():
        snapshot.events.update(event_store.read_events(missing))
