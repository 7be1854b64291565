"""What verification reads: every journal row beside its event, in batches.

A row is one flat tuple whose fields are named as an event's are, so it can be hashed as one; building objects
would cost as much as all checks of it together. The three JSON values come as the text the database writes
and are parsed in one go: a parser called by the driver for each of them costs three times as much (ADR 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from orjson import JSONDecodeError, loads

from ledger.store.connection import translated
from ledger.store.hashing import NO_HASH
from ledger.store.tree import Connection
from ledger.verify.unreadable import read_json

# Rows held at once: 2 MB or so. Few enough that the database looks each event up by its key, whatever the
# length of the log; from some 4,000 on PostgreSQL reads the whole table for every batch.
BATCH = 1_024
# That the journal's id and type are the event's is compared in the database; the words for a difference are
# fetched when there is one. Identifiers come as text: they are hashed as text.
_ROWS = """
SELECT j.position, j.command_id::text, j.command_index, j.command_size, j.event_hash, j.running_hash, j.is_late,
       j.sequenced_at, j.aggregate_id, j.version, j.event_id = e.event_id AND j.event_type = e.event_type,
       e.event_id::text, e.aggregate_type, e.event_type, e.schema_version,
       e.data::text, e.metadata::text, e.state::text,
       e.recorded_at, e.effective_at, e.previous_hash, e.hash
FROM journal AS j LEFT JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
"""
_BY_POSITION = f"{_ROWS} WHERE j.position > %s AND j.position <= %s ORDER BY j.position"
_NEXT = "SELECT min(position) FROM journal WHERE position > %s"
_OF_ACCOUNT = f"{_ROWS} WHERE j.aggregate_id = %s AND j.version > %s ORDER BY j.version LIMIT {BATCH}"


class Row(NamedTuple):
    """A journal row and its event; where the event is gone, its columns are None, `agrees` with them."""

    position: int
    command_id: str
    command_index: int
    command_size: int
    event_hash: bytes
    running_hash: bytes
    is_late: bool
    sequenced_at: datetime
    aggregate_id: str
    version: int
    agrees: bool | None
    event_id: str
    aggregate_type: str
    event_type: str
    schema_version: int
    data: dict[str, Any]
    metadata: dict[str, Any]
    state: dict[str, Any]
    recorded_at: datetime
    effective_at: datetime
    previous_hash: bytes
    hash: bytes | None


class Seed(NamedTuple):
    """What a range of positions continues: the journal's row before it."""

    position: int = 0
    command_id: str = ""
    command_index: int = 0
    command_size: int = 1
    running_hash: bytes = NO_HASH
    sequenced_at: datetime | None = None


_SEED = """
SELECT position, command_id::text, command_index, command_size, running_hash, sequenced_at
FROM journal WHERE position <= %s ORDER BY position DESC LIMIT 1
"""


def seed(conn: Connection, position: int) -> Seed:
    """Return the last row up to a position; that of nothing when there is none."""
    with translated():
        row = conn.execute(_SEED, (position,)).fetchone()
    return Seed(*row) if row else Seed()


def by_position(conn: Connection, after: int, up_to: int) -> Iterator[list[Row]]:
    """Yield the journal's rows from position `after` + 1 to `up_to`, with whatever is missing left out."""
    start: int | None = after
    while start is not None and start < up_to:
        end = min(start + BATCH, up_to)
        with translated():
            batch = conn.execute(_BY_POSITION, (start, end), binary=True, prepare=False).fetchall()
        yield [_read(*columns) for columns in batch]
        # A hole is passed over in one step: a row put at position 10^15 would be waited for for ever.
        start = end if batch else row_before_next(conn, end)


def row_before_next(conn: Connection, position: int) -> int | None:
    """Return the position before that of the next row after one; None where there is none."""
    with translated():
        row = conn.execute(_NEXT, (position,)).fetchone()
    return row[0] - 1 if row and row[0] is not None else None


def of_account(conn: Connection, account_id: str) -> Iterator[list[Row]]:
    """Yield the rows of one aggregate in the order of its versions."""
    version = 0
    while True:
        with translated():
            batch = conn.execute(_OF_ACCOUNT, (account_id, version), binary=True).fetchall()
        rows = [_read(*columns) for columns in batch]
        yield rows
        if len(rows) < BATCH:
            return
        version = rows[-1].version


def _read(*columns: Any) -> Row:
    data, metadata, state = columns[15:18]
    if data is None:
        return Row._make(columns)
    try:
        values = loads(f"[{data},{metadata},{state}]")
    except JSONDecodeError:
        values = [read_json(text) for text in (data, metadata, state)]
    return Row._make((*columns[:15], *values, *columns[18:]))
