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
from ledger.store import prepared, sql, wire
from ledger.store.connection import connection, translated
from ledger.store.hashing import NO_HASH
from ledger.store.prepared import BINARY, TEXT, StoreConnection
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


def append(rows: Append, read_at: datetime) -> None:
    """Write events, outbox, keys and refusals in one statement, which is one transaction.

    `read_at`: the store's clock when the heads were read; the transaction must commit within FINAL_AFTER.
    Raises: StoreConflict (decide again), StoreUnavailable, CommitUnknown (look the commands up).
    """
    write = _Write()
    if rows.commands:
        _add_commands(write, rows.commands, read_at + FINAL_AFTER)
    if rows.keys:
        keys = sorted(rows.keys, key=_first)
        if len(keys) == 1:
            ((key, request_hash, outcome),) = keys
            write.add(sql.INSERT_ONE_KEY, TEXT, key.encode(), wire.binary(request_hash), wire.json(outcome))
        else:
            names, request_hashes, outcomes = _columns(keys)
            arrays = wire.texts(names), wire.binaries(request_hashes), wire.jsons(outcomes)
            write.add(sql.INSERT_KEYS, BINARY, *arrays)
    if rows.refusals:
        _add_refusals(write, rows.refusals)
    statement = sql.all_of(*write.inserts)
    with connection() as conn, translated(committing=True):
        prepared.run(conn, statement, write.values, write.formats)


@dataclass(slots=True)
class _Write:
    """The parts of an append and their parameters, in order."""

    inserts: list[str] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    formats: list[int] = field(default_factory=list)

    def add(self, insert: str, format_: int, *values: bytes) -> None:
        self.inserts.append(insert)
        self.values += values
        self.formats += [format_] * len(values)


def _add_commands(write: _Write, commands: list[tuple[UUID, list[RecordedEvent]]], deadline: datetime) -> None:
    # Rows go in in key order, so that two batches that meet wait for each other instead of deadlocking.
    events = sorted((e for _, events in commands for e in events), key=_key)
    if len(commands) == 1 and len(events) <= FEW_EVENTS_MAX:
        ((command_id, ordered),) = commands
        write.add(sql.insert_few_events(len(events)), TEXT, *chain.from_iterable(_scalars(e) for e in events))
        one = (wire.uuid(command_id), wire.instant(deadline), wire.instant(ordered[0].recorded_at))
        write.add(sql.INSERT_ONE_OUTBOX, TEXT, *one, wire.json(_references(ordered)))
        return
    write.add(sql.INSERT_EVENTS, BINARY, *_arrays(events))
    command_ids, instants, references = _columns((id_, e[0].recorded_at, _references(e)) for id_, e in commands)
    outbox = wire.uuids(command_ids), wire.instants(instants), wire.jsons(references)
    write.add(sql.INSERT_OUTBOX, BINARY, wire.binary_instant(deadline), *outbox)


def _add_refusals(write: _Write, refusals: list[RefusalRow]) -> None:
    rows = ((r.refusal_id, r.command_id, r.command_type, r.command, r.actor, r.code, r.detail) for r in refusals)
    refusal_ids, command_ids, command_types, commands, actors, codes, details = _columns(rows)
    write.add(
        sql.INSERT_REFUSALS, BINARY, wire.uuids(refusal_ids), wire.uuids(command_ids), wire.texts(command_types),
        wire.jsons(commands), wire.texts(actors), wire.texts(codes), wire.texts(details),
    )  # fmt: skip


def _key(event: RecordedEvent) -> tuple[str, int]:
    return event.aggregate_id, event.version


def _scalars(e: RecordedEvent) -> tuple[bytes, ...]:
    return (
        wire.uuid(e.event_id), e.aggregate_type.encode(), e.aggregate_id.encode(), wire.integer(e.version),
        e.event_type.encode(), wire.integer(e.schema_version), wire.json(e.data), wire.json(e.metadata),
        wire.json(e.state), wire.instant(e.recorded_at), wire.instant(e.effective_at),
        wire.binary(e.previous_hash), wire.binary(e.hash),
    )  # fmt: skip


def _arrays(events: list[RecordedEvent]) -> tuple[bytes, ...]:
    (event_ids, aggregate_types, aggregate_ids, versions, event_types, schema_versions,
     datas, metadatas, states, recorded_ats, effective_ats, previous_hashes, hashes) = _columns(events)  # fmt: skip
    return (
        wire.uuids(event_ids), wire.texts(aggregate_types), wire.texts(aggregate_ids), wire.bigints(versions),
        wire.texts(event_types), wire.integers(schema_versions), wire.jsons(datas), wire.jsons(metadatas),
        wire.jsons(states), wire.instants(recorded_ats), wire.instants(effective_ats),
        wire.binaries(previous_hashes), wire.binaries(hashes),
    )  # fmt: skip


def _references(events: list[RecordedEvent]) -> list[list[Any]]:
    """Return what the relay must know of a command's events."""
    return [[e.event_id, e.aggregate_id, e.version, e.event_type, e.hash.hex()] for e in events]


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    return list(zip(*rows, strict=True))


def _first(row: tuple[Any, ...]) -> Any:
    return row[0]
