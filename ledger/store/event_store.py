"""The write side's two round trips: read what a list of commands needs, append what it led to.

Reading takes no lock and needs no transaction: the primary key (aggregate_id, version) is the optimistic
lock, and an append decided on an old head fails on it. `append` is one statement; it either commits whole,
or raises and has written nothing, or raises CommitUnknown and the next attempt looks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import orjson
import psycopg

from ledger.domain.aggregates import State, read_state
from ledger.store import sql
from ledger.store.connection import connection, translated
from ledger.store.hashing import NO_HASH
from ledger.store.recorded import RecordedEvent

# A command that has not committed this long after its recorded_at is rolled back by the server, so that an
# answer as of an earlier instant is final (DESIGN section 4).
FINAL_AFTER = timedelta(seconds=5)
# A single deposit is one event, a transfer two; each further row is another statement for the server to plan.
FEW_EVENTS_MAX = 4


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


@dataclass(frozen=True, slots=True)
class RefusalRow:
    refusal_id: UUID
    command_id: UUID
    command_type: str
    command: dict[str, Any]
    actor: str
    code: str
    detail: str


@dataclass(slots=True)
class Append:
    """Everything one transaction writes. `commands`: the events of each accepted command, in order."""

    commands: list[tuple[UUID, list[RecordedEvent]]] = field(default_factory=list)
    keys: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)
    refusals: list[RefusalRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.commands or self.keys or self.refusals)


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


def _read_heads(conn: psycopg.Connection[Any], aggregate_ids: Collection[str]) -> Snapshot:
    if len(aggregate_ids) == 1:
        (aggregate_id,) = aggregate_ids
        if row := conn.execute(sql.READ_HEAD, (aggregate_id,)).fetchone():
            now, _, version, state, hash_, recorded_at = row
            return Snapshot(now, {aggregate_id: Head(version, read_state(aggregate_id, state), hash_, recorded_at)})
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


def append(rows: Append, read_at: datetime) -> None:
    """Write events, outbox, keys and refusals in one statement, which is one transaction.

    `read_at`: the store's clock when the heads were read; the transaction must commit within FINAL_AFTER.
    Raises: StoreConflict (decide again), StoreUnavailable, CommitUnknown (look the commands up).
    """
    inserts: list[str] = []
    values: list[Any] = []
    if rows.commands:
        # Rows go in in key order, so that two batches that meet wait for each other instead of deadlocking.
        events = sorted((e for _, events in rows.commands for e in events), key=_key)
        commands = [(command_id, e[0].recorded_at, _references(e)) for command_id, e in rows.commands]
        if len(commands) == 1 and len(events) <= FEW_EVENTS_MAX:
            (command,) = commands
            inserts += [sql.insert_few_events(len(events)), sql.INSERT_ONE_OUTBOX]
            values += chain.from_iterable(_event_row(e) for e in events)
            values += [command[0], read_at + FINAL_AFTER, *command[1:]]
        else:
            inserts += [sql.INSERT_EVENTS, sql.INSERT_OUTBOX]
            values += [*_columns(_event_row(e) for e in events), read_at + FINAL_AFTER, *_columns(commands)]
    if rows.keys:
        keys = [(key, request_hash, _text(outcome)) for key, request_hash, outcome in sorted(rows.keys, key=_first)]
        inserts.append(sql.INSERT_ONE_KEY if len(keys) == 1 else sql.INSERT_KEYS)
        values += keys[0] if len(keys) == 1 else _columns(keys)
    if rows.refusals:
        inserts.append(sql.INSERT_REFUSALS)
        values += _columns(
            (r.refusal_id, r.command_id, r.command_type, _text(r.command), r.actor, r.code, r.detail)
            for r in rows.refusals
        )
    with connection() as conn, translated(committing=True):
        conn.execute(sql.all_of(*inserts), values)


def _key(event: RecordedEvent) -> tuple[str, int]:
    return event.aggregate_id, event.version


def _event_row(e: RecordedEvent) -> tuple[Any, ...]:
    return (
        e.event_id, e.aggregate_type, e.aggregate_id, e.version, e.event_type, e.schema_version,
        _text(e.data), _text(e.metadata), _text(e.state), e.recorded_at, e.effective_at, e.previous_hash, e.hash,
    )  # fmt: skip


def _references(events: list[RecordedEvent]) -> str:
    """Return what the relay must know of a command's events."""
    return _text([[e.event_id, e.aggregate_id, e.version, e.event_type, e.hash.hex()] for e in events])


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _first(row: tuple[Any, ...]) -> Any:
    return row[0]


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
