"""The write side's first round trip: read what a list of commands needs. The second is `ledger.store.append`.

Reading takes no lock and needs no transaction: the primary key (aggregate_id, version) is the optimistic
lock, and an append decided on an old head fails on it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg

from ledger.domain.aggregates import State, read_state
from ledger.store import prepared, sql, wire
from ledger.store.connection import connection, translated
from ledger.store.hashing import NO_HASH
from ledger.store.prepared import StoreConnection
from ledger.store.recorded import RecordedEvent

# A command that has not committed this long after its recorded_at is rolled back by the server, so that an
# answer as of an earlier instant is final (DESIGN section 4).
FINAL_AFTER = timedelta(seconds=5)


@dataclass(slots=True)
class Head:
    """The latest state of one aggregate; version 0 is one that does not exist."""

    version: int = 0
    state: State | None = None
    hash: bytes = NO_HASH
    recorded_at: datetime | None = None


@dataclass(slots=True)
class Snapshot:
    """What the store held when the commands were read, and its clock then."""

    now: datetime
    heads: dict[str, Head]
    keys: dict[str, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)
    events: dict[UUID, RecordedEvent] = field(default_factory=dict)


def read(aggregate_ids: Collection[str], keys: Collection[str] = (), event_ids: Collection[UUID] = ()) -> Snapshot:
    """Read heads, idempotency keys and, where an earlier attempt may have committed, its events.

    Shape: one round trip, however many there are of each.
    """
    with connection() as conn, translated():
        if not keys and not event_ids:
            return _read_heads(conn, aggregate_ids)
        with conn.pipeline():
            heads = conn.execute(sql.READ_HEADS, (list(aggregate_ids),))
            found_keys = conn.execute(sql.READ_KEYS, (list(keys),))
            found_events = conn.execute(sql.READ_EVENTS_BY_ID, (list(event_ids),))
            snapshot = _snapshot(heads)
            snapshot.keys = {key: (request_hash, outcome) for key, request_hash, outcome in found_keys}
            snapshot.events = {row[0]: RecordedEvent(*row) for row in found_events}
            return snapshot


def _read_heads(conn: StoreConnection, aggregate_ids: Collection[str]) -> Snapshot:
    if len(aggregate_ids) == 1:
        (aggregate_id,) = aggregate_ids
        result = prepared.run(conn, sql.READ_HEAD, [aggregate_id.encode()])
        if result.ntuples:
            now, version, state, hash_, recorded_at = (result.get_value(0, column) for column in range(5))
            known = read_state(aggregate_id, orjson.loads(state))
            head = Head(int(version), known, wire.to_bytes(hash_), wire.to_instant(recorded_at))
            return Snapshot(wire.to_instant(now), {aggregate_id: head})
    return _snapshot(conn.execute(sql.READ_HEADS, (list(aggregate_ids),)))


def _snapshot(cursor: psycopg.Cursor[Any]) -> Snapshot:
    rows = cursor.fetchall()
    assert rows, "every command names an aggregate, and each gives a row"
    heads = {
        id_: Head() if version is None else Head(version, read_state(id_, state), hash_, recorded_at)
        for _, id_, version, state, hash_, recorded_at in rows
    }
    return Snapshot(rows[0][0], heads)


def read_events(event_ids: Collection[UUID]) -> dict[UUID, RecordedEvent]:
    """Return the events of these ids that exist."""
    with connection() as conn, translated():
        return {row[0]: RecordedEvent(*row) for row in conn.execute(sql.READ_EVENTS_BY_ID, (list(event_ids),))}
