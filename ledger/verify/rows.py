"""What verification reads: every journal row beside its event and the event before it in its aggregate.

A row so read can be checked on its own, in any order and by any process, with bounded memory; that all rows
hold implies that all chains hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ledger.store.connection import translated
from ledger.store.hashing import NO_HASH
from ledger.store.recorded import RecordedEvent
from ledger.store.sql import EVENT_COLUMNS
from ledger.store.tree import Connection

# Rows held at once: 2 MB or so.
BATCH = 1_024
_COLUMNS = f"""
SELECT j.position, j.event_id, j.aggregate_id, j.version, j.event_type, j.command_id, j.command_index,
       j.command_size, j.event_hash, j.running_hash, j.is_late, j.sequenced_at,
       p.hash, p.recorded_at, p.metadata ->> 'command_id', p.state,
       {EVENT_COLUMNS}
"""
_JOINED = """
LEFT JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
LEFT JOIN events AS p ON p.aggregate_id = j.aggregate_id AND p.version = j.version - 1
"""
_BY_POSITION = f"{_COLUMNS} FROM journal AS j {_JOINED} WHERE j.position > %s AND j.position <= %s ORDER BY j.position"
_BY_ACCOUNT = f"""
{_COLUMNS} FROM journal AS j {_JOINED}
WHERE j.aggregate_id = %s AND j.version > %s ORDER BY j.version LIMIT {BATCH}
"""


class Previous(NamedTuple):
    """The event before, in the same aggregate."""

    hash: bytes | None
    recorded_at: datetime | None
    command_id: str | None
    state: dict[str, Any] | None


class Row(NamedTuple):
    position: int
    event_id: UUID
    aggregate_id: str
    version: int
    event_type: str
    command_id: UUID
    command_index: int
    command_size: int
    event_hash: bytes
    running_hash: bytes
    is_late: bool
    sequenced_at: datetime
    previous: Previous
    event: RecordedEvent | None


class Seed(NamedTuple):
    """What a range of positions continues: the journal's row before it."""

    position: int = 0
    command_id: UUID | None = None
    command_index: int = 0
    command_size: int = 1
    running_hash: bytes = NO_HASH
    sequenced_at: datetime | None = None


_SEED = """
SELECT position, command_id, command_index, command_size, running_hash, sequenced_at
FROM journal WHERE position <= %s ORDER BY position DESC LIMIT 1
"""


def seed(conn: Connection, position: int) -> Seed:
    """Return the last row up to a position; that of nothing when there is none."""
    with translated():
        row = conn.execute(_SEED, (position,)).fetchone()
    return Seed(*row) if row else Seed()


def by_position(conn: Connection, after: int, up_to: int) -> Iterator[Row]:
    """Yield the journal's rows from position `after` + 1 to `up_to`, with whatever is missing left out."""
    for start in range(after, up_to, BATCH):
        with translated():
            batch = conn.execute(_BY_POSITION, (start, min(start + BATCH, up_to)), binary=True).fetchall()
        yield from map(_row, batch)


def of_account(conn: Connection, account_id: str) -> Iterator[Row]:
    """Yield the rows of one aggregate in the order of its versions."""
    version = 0
    while True:
        with translated():
            batch = conn.execute(_BY_ACCOUNT, (account_id, version), binary=True).fetchall()
        yield from map(_row, batch)
        if len(batch) < BATCH:
            return
        version = batch[-1][3]


def _row(columns: tuple[Any, ...]) -> Row:
    event = RecordedEvent(*columns[16:]) if columns[16] is not None else None
    return Row(*columns[:12], Previous(*columns[12:16]), event)
