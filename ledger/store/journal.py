"""The journal: the total order over all events, gapless from 1, never splitting a command.

`sequence` is one step of the relay: it takes whole commands from the outbox in the order of recorded_at,
gives their events the next positions and extends the running hash, in one transaction. Any number of relays
may try; taking a row is deleting it and the position is the primary key, so one of them wins. `read` gives
everything after a position back, from the tables, whatever has become of the stream.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from psycopg import pq

from ledger.errors import JournalGap
from ledger.store import sql
from ledger.store.connection import connection, translated
from ledger.store.event_store import FINAL_AFTER
from ledger.store.hashing import NO_HASH, extend_running_hash
from ledger.store.prepared import StoreConnection
from ledger.store.recorded import RecordedEvent
from ledger.store.rounds import BEGIN, COMMIT, Round, rows

# Commands one step moves: some 10 ms of work on PostgreSQL, so a late nudge waits no longer than that.
COMMANDS_PER_STEP_MAX = 1_000
READ_BATCH = 1_000


class Sequenced(NamedTuple):
    """An event with its place in the journal."""

    event: RecordedEvent
    position: int
    command_id: UUID
    command_index: int
    command_size: int
    running_hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    position: int = 0
    running_hash: bytes = NO_HASH


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the relay did.

    `commands`: how many it moved. `head`: the journal's head after it. `late`: those of `events` that became visible
    too late, incidents. `drained_at`: the store's clock, if the step left the outbox empty as of then.
    """

    events: list[Sequenced]
    commands: int
    head: Head
    late: list[Sequenced]
    drained_at: datetime | None


def head() -> Head:
    with connection() as conn, translated():
        row = conn.execute(sql.JOURNAL_HEAD).fetchone()
    return Head(*row) if row else Head()


def read(after: int, limit: int = READ_BATCH) -> list[Sequenced]:
    """Return up to `limit` sequenced events from position `after` + 1, in order. Raises: JournalGap."""
    with connection() as conn, translated():
        found = conn.execute(sql.READ_JOURNAL, (after, after + limit), binary=True).fetchall()
    events = [_sequenced(row) for row in found]
    for position, sequenced in enumerate(events, after + 1):
        if sequenced.position != position:
            raise JournalGap(f"position {position} of the journal is missing", position=position)
    return events


def read_all(after: int, up_to: int) -> Iterator[list[Sequenced]]:
    """Yield batches from position `after` + 1 to `up_to`, in order."""
    while after < up_to and (batch := read(after, min(READ_BATCH, up_to - after))):
        yield batch
        after = batch[-1].position


def sequence(conn: StoreConnection, drained_at: datetime | None) -> Step:
    """Move one batch of whole commands from the outbox into the journal.

    `drained_at`: the store's clock at an earlier step that left nothing behind. A command that was recorded
    more than FINAL_AFTER before that, and was not there then, is late: it is marked so and reported.
    Raises: StoreConflict when another relay was first, StoreUnavailable or CommitUnknown; in each case the
    next step starts from what the tables say.
    """
    with translated(committing=True), _transaction(conn):
        rounds = _rounds(conn, drained_at)
        results = None
        while True:
            try:
                results = rounds.send(results).run(conn)
            except StopIteration as end:
                return cast("Step", end.value)


async def sequence_in_loop(conn: StoreConnection, drained_at: datetime | None) -> Step:
    """Do the same without blocking the event loop's thread while the store works."""
    with translated(committing=True), _transaction(conn):
        rounds = _rounds(conn, drained_at)
        results = None
        while True:
            try:
                round_ = rounds.send(results)
            except StopIteration as end:
                return cast("Step", end.value)
            results = await round_.run_in_loop(conn)


def _rounds(conn: StoreConnection, drained_at: datetime | None) -> Generator[Round, Any, Step]:
    """Yield the round trips of a step; each is sent its results."""
    round_ = Round()
    round_.execute(BEGIN)
    round_.execute(sql.NOW)  # before the rows are taken, or a fresh command could seem late
    round_.execute(sql.TAKE_OUTBOX, (COMMANDS_PER_STEP_MAX,))
    # Asked, because few rows or none may also mean that another relay took those this one had chosen.
    round_.execute(sql.ANY_IN_OUTBOX)
    round_.execute(sql.JOURNAL_HEAD)
    _, clock, found, left_behind, last = yield round_
    ((now,),) = rows(conn, clock)
    before = Head(*rows(conn, last)[0]) if last.ntuples else Head()
    taken = sorted(rows(conn, found), key=_when_recorded)  # RETURNING promises no order
    drained_now = None if left_behind.ntuples else now
    if not taken:
        return Step([], 0, before, [], drained_now)
    entries = list(_entries(taken, before, drained_at))
    round_ = Round()
    round_.execute(sql.INSERT_JOURNAL, list(zip(*entries, strict=True)))
    round_.execute(sql.READ_EVENTS_BY_KEY, [[entry[2] for entry in entries], [entry[3] for entry in entries]])
    round_.execute(COMMIT)
    _, found, _ = yield round_
    stored = {(row[2], row[3]): RecordedEvent._make(row) for row in rows(conn, found)}
    # (position, event_id, aggregate_id, version, event_type, command_id, index, size, hash, running_hash, is_late)
    events = [Sequenced(stored[e[2], e[3]], e[0], e[5], e[6], e[7], e[9]) for e in entries]
    late = [event for event, entry in zip(events, entries, strict=True) if entry[10]]
    return Step(events, len(taken), Head(events[-1].position, events[-1].running_hash), late, drained_now)


@contextmanager
def _transaction(conn: StoreConnection) -> Iterator[None]:
    """End the transaction that is begun inside, unless it was committed there."""
    try:
        yield
    finally:
        if not conn.closed and conn.info.transaction_status != pq.TransactionStatus.IDLE:
            conn.rollback()


def _when_recorded(row: tuple[Any, ...]) -> tuple[datetime, UUID]:
    return row[1], row[0]


def _entries(taken: list[Any], before: Head, drained_at: datetime | None) -> Iterator[tuple[Any, ...]]:
    """Yield the journal's rows for these commands, in the order of sql.INSERT_JOURNAL's columns."""
    position, running_hash = before.position, before.running_hash
    for command_id, recorded_at, references in taken:
        is_late = drained_at is not None and recorded_at + FINAL_AFTER < drained_at
        for index, (event_id, aggregate_id, version, event_type, hash_hex) in enumerate(references):
            event_hash = bytes.fromhex(hash_hex)
            position += 1
            running_hash = extend_running_hash(running_hash, event_hash)
            yield (position, event_id, aggregate_id, version, event_type, command_id, index, len(references),
                   event_hash, running_hash, is_late)  # fmt: skip


def _sequenced(row: tuple[Any, ...]) -> Sequenced:
    return Sequenced(RecordedEvent(*row[:13]), *row[13:])
