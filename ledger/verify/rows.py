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

from ledger.store import sql
from ledger.store.connection import translated
from ledger.store.hashing import NO_HASH
from ledger.store.tree import Connection
from ledger.verify.unreadable import STAND_IN, read_json

# Rows held at once: 2 MB or so. Few enough that the database looks each event up by its key, whatever the
# length of the log; from some 4,000 on PostgreSQL reads the whole table for every batch.
BATCH = 1_024
# That the journal's id and type are the event's is compared in the database; the words for a difference are
# fetched when there is one. Identifiers come as text: they are hashed as text.
EVENT_COLUMNS = """e.event_id::text, e.aggregate_type, e.event_type, e.schema_version,
       e.data::text, e.metadata::text, e.state::text,
       e.recorded_at, e.effective_at, e.previous_hash, e.hash"""
_ROWS = f"""
SELECT j.position, j.command_id::text, j.command_index, j.command_size, j.event_hash, j.running_hash, j.is_late,
       j.sequenced_at, j.aggregate_id, j.version, j.event_id = e.event_id AND j.event_type = e.event_type,
       {EVENT_COLUMNS}
FROM journal AS j LEFT JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
"""  # noqa: S608 (made of constants)
_BY_POSITION = f"{_ROWS} WHERE j.position > %s AND j.position <= %s ORDER BY j.position"
_NEXT = "SELECT min(position) FROM journal WHERE position > %s"
_OF_ACCOUNT = f"{_ROWS} WHERE j.aggregate_id = %s AND j.version > %s ORDER BY j.version LIMIT {BATCH}"
_BEFORE_EVERY_VERSION = -(1 << 63)  # a bigint's least: versions that are none are looked at too


class Row(NamedTuple):
    """A journal row and its event; where the event is gone, its columns are None, `agrees` with them."""

    position: int
    command_id: str
    command_index: int
    command_size: int
    event_hash: bytes
    running_hash: bytes
    is_late: bool | None
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


# What stands in for a null, which no column here takes, in the checks of its row. Known again by identity.
_NO_TEXT, _NO_NUMBER, _NO_BYTES, _NO_ANSWER = "(nothing)", -(1 << 64), b"(nothing)", 2
_STAND_INS: dict[str, Any] = {
    **dict.fromkeys(("command_id", "aggregate_id", "event_id", "aggregate_type", "event_type"), _NO_TEXT),
    **dict.fromkeys(("command_index", "command_size", "version", "schema_version"), _NO_NUMBER),
    **dict.fromkeys(("event_hash", "running_hash", "previous_hash", "hash"), _NO_BYTES),
    **dict.fromkeys(("sequenced_at", "recorded_at", "effective_at"), STAND_IN),
    "is_late": _NO_ANSWER,
}
_OF_EVENT = Row._fields[Row._fields.index("event_id") :]


def mended(row: Row) -> Row:
    """Return a row that checks can go through: with a stand-in for each null, unless its event is gone."""
    is_gone = all(getattr(row, name) is None for name in _OF_EVENT)
    nulls = (name for name in _STAND_INS if getattr(row, name) is None and not (is_gone and name in _OF_EVENT))
    return row._replace(**{name: _STAND_INS[name] for name in nulls})


def unreadable_fields(row: Row) -> list[str]:
    """Return the columns of a mended row that had no value which can be read."""
    return [name for name, stand_in in _STAND_INS.items() if getattr(row, name) is stand_in]


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
FROM journal WHERE position > 0 AND position <= %s ORDER BY position DESC LIMIT 1
"""


def journal_end(conn: Connection) -> int:
    """Return the last position, whatever is stored beside positions; 0 when there is none."""
    with translated():
        row = conn.execute(sql.COUNT_ALL).fetchone()
    return max(0, row[0]) if row else 0


def seed(conn: Connection, position: int) -> Seed:
    """Return the last row up to a position; that of nothing when there is none."""
    with translated():
        row = conn.execute(_SEED, (position,)).fetchone()
    if row is None:
        return Seed()
    # A null is a fault of that row, in the range that it is in.
    return Seed(
        *(Seed._field_defaults[name] if value is None else value for name, value in zip(Seed._fields, row, strict=True))
    )


def by_position(conn: Connection, after: int, up_to: int) -> Iterator[list[Row]]:
    """Yield the journal's rows from position `after` + 1 to `up_to`, with whatever is missing left out."""
    start: int | None = after
    while start is not None and start < up_to:
        end = min(start + BATCH, up_to)
        with translated():
            batch = conn.execute(_BY_POSITION, (start, end), binary=True, prepare=False).fetchall()
        yield [read(*columns) for columns in batch]
        # A hole is passed over in one step: a row put at position 10^15 would be waited for for ever.
        start = end if batch else row_before_next(conn, end)


def row_before_next(conn: Connection, position: int) -> int | None:
    """Return the position before that of the next row after one; None where there is none."""
    with translated():
        row = conn.execute(_NEXT, (position,)).fetchone()
    return row[0] - 1 if row and row[0] is not None else None


def of_account(conn: Connection, account_id: str) -> Iterator[list[Row]]:
    """Yield the rows of one aggregate in the order of its versions."""
    version = _BEFORE_EVERY_VERSION
    while True:
        with translated():
            batch = conn.execute(_OF_ACCOUNT, (account_id, version), binary=True).fetchall()
        rows = [read(*columns) for columns in batch]
        yield rows
        if len(rows) < BATCH:
            return
        version = rows[-1].version


def read(*columns: Any) -> Row:
    """Return a row of its columns in their order, the three JSON values as text."""
    data, metadata, state = columns[15:18]
    if data is None:
        return Row._make(columns)
    try:
        values = loads(f"[{data},{metadata},{state}]")
    except JSONDecodeError:
        values = [read_json(text) for text in (data, metadata, state)]
    return Row._make((*columns[:15], *values, *columns[18:]))
