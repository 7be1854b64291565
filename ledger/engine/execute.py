"""The engine: a list of commands in, one transaction, an outcome for each out.

Round trips: one to read, one to append, however many commands; the first is spared on accounts that this process
wrote to last. Every accepted command takes effect exactly
once: its event ids follow from its command_id, so a second execution of it cannot commit, and after a broken
COMMIT the next attempt finds the first one's events instead of guessing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from ledger.engine.originals import with_originals
from ledger.engine.plan import Plan
from ledger.engine.replay import event_ids_in
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Outcome, Submission
from ledger.engine.writing import Writing, writing_from_memory
from ledger.errors import Busy, CommitUnknown, StoreConflict, StoreUnavailable, TooLate
from ledger.store import event_store
from ledger.store.recorded import event_id_of
from ledger.subjects.connection import KeysUnavailable

# A batch of this many commands is some 20 MB of parameters and a second of work; more belongs in two calls.
COMMANDS_MAX = 10_000
# With eight writers on one account every round lets one through: 30 rounds, or the deadline, whichever is first.
ATTEMPTS_MAX = 30
RETRY_S_MAX = 10.0
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.001, 0.25


def execute(
    submissions: Sequence[Submission],
    *,
    atomic: bool = False,
    dry_run: bool = False,
    may_be_written: bool = False,
    on_commit: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Execute commands in order, in one transaction, and return an outcome for each.

    `atomic`: all or nothing; otherwise a rejected command does not stop its neighbours. `dry_run`: the same
    outcomes, nothing written. `may_be_written`: an earlier call with these very submissions ended without an answer,
    so what it may have committed is looked up first. `on_commit` is called once when something was written.
    Raises: Busy or StoreUnavailable, when nothing is known to be written and retrying is safe under the same
    command ids or idempotency keys.
    """
    assert 0 < len(submissions) <= COMMANDS_MAX, f"1 to {COMMANDS_MAX} commands a call"
    deadline = time.monotonic() + RETRY_S_MAX
    last_error: Exception | None = None
    for attempt in range(ATTEMPTS_MAX):
        try:
            return _attempt(submissions, atomic, dry_run, may_be_written or last_error is not None, on_commit)
        except (StoreConflict, CommitUnknown, StoreUnavailable) as error:
            last_error = error
        pause_s = random.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**attempt))  # noqa: S311 (jitter)
        if time.monotonic() + pause_s > deadline:
            break
        time.sleep(pause_s)
    if isinstance(last_error, StoreConflict):
        raise Busy(_why(last_error), attempts=attempt + 1) from last_error
    if isinstance(last_error, KeysUnavailable):
        raise last_error
    raise StoreUnavailable("the event store does not answer") from last_error


def _why(error: StoreConflict) -> str:
    if isinstance(error, TooLate):
        limit_s = event_store.FINAL_AFTER.total_seconds()
        return f"it could not be written within {limit_s:.0f} s; try again, with fewer commands in one call"
    return "too many writers want the same account; try again"


def _attempt(submissions: Sequence[Submission], atomic: bool, dry_run: bool, is_retry: bool,
             on_commit: Callable[[], None]) -> list[Outcome]:  # fmt: skip
    submissions = with_originals(submissions)
    aggregate_ids = sorted({id_ for s in submissions for id_ in s.command.aggregate_ids})
    writing = None if is_retry or dry_run else writing_from_memory(submissions, aggregate_ids, atomic=atomic)
    if writing is None:
        keys = sorted({s.stored_key for s in submissions if s.stored_key is not None})
        # Only after a failed attempt can a command of ours be in the store already.
        first_event_ids = [event_id_of(s.command_id, 0) for s in submissions] if is_retry else []
        snapshot = event_store.read(aggregate_ids, keys, first_event_ids)
        _read_whole_answers(snapshot)
        plan = Plan(snapshot, Sealer(submissions, snapshot.heads, dry_run=dry_run), atomic=atomic)
        writing = Writing(plan, snapshot.now)
        if dry_run:
            writing.decide(submissions)
        elif is_retry or atomic:
            writing.write_whole(submissions)
        else:
            writing.write(submissions)
    if writing.is_committed:
        on_commit()
    return writing.plan.outcomes


def _read_whole_answers(snapshot: event_store.Snapshot) -> None:
    """Fetch the events that stored answers and earlier attempts speak of; a round trip only when there are any."""
    wanted: set[UUID] = {id_ for _, stored in snapshot.keys.values() for id_ in event_ids_in(stored)}
    for event in snapshot.events.values():
        command_id, size = UUID(event.metadata["command_id"]), event.metadata["command_size"]
        wanted.update(event_id_of(command_id, index) for index in range(size))
    if missing := wanted - snapshot.events.keys():
        snapshot.events.update(event_store.read_events(missing))
