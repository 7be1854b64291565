"""The write side's second round trip: append what a list of commands led to.

`append` is one statement; it either commits whole, or raises and has written nothing, or raises CommitUnknown and
the next attempt looks. `AppendStream` is the same for long calls: one transaction whose rows are on their way, and
at work in the server, while later commands are still being decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from operator import itemgetter
from types import TracebackType
from typing import Any
from uuid import UUID

from psycopg import errors

from ledger.errors import LedgerError, StoreUnavailable, TooLate
from ledger.store import event_store, prepared, sql, wire
from ledger.store.connection import AT_ONCE_S, connection, translated
from ledger.store.event_store import Head
from ledger.store.pipeline import Pipeline
from ledger.store.prepared import BINARY, TEXT, Statement
from ledger.store.recorded import RecordedEvent
from ledger.store.refusals import Refusal

# A single deposit is one event, a transfer two; each further row is another statement for the server to plan.
FEW_EVENTS_MAX = 4
NO_HEADS: Mapping[str, Head] = {}
_FIRST = itemgetter(0)
_KEY = itemgetter(RecordedEvent._fields.index("aggregate_id"), RecordedEvent._fields.index("version"))


@dataclass(slots=True)
class Append:
    """Everything one transaction writes. `commands`: the events of each accepted command, in order."""

    commands: list[tuple[UUID, list[RecordedEvent]]] = field(default_factory=list)
    keys: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.commands or self.keys or self.refusals)

    def take(self) -> Append:
        """Return what has been collected, and begin anew."""
        taken = Append(self.commands, self.keys, self.refusals)
        self.commands, self.keys, self.refusals = [], [], []
        return taken


def append(rows: Append, read_at: datetime, on_heads: Mapping[str, Head] = NO_HEADS) -> datetime:
    """Write events, outbox, keys and refusals in one statement, which is one transaction.

    `read_at`: the store's clock when the heads were read; the transaction must commit within FINAL_AFTER.
    `on_heads`: heads that were remembered, not read. The store must hold them still, so that a store that was
    restored to an earlier state never gets a version that follows none. Returns: the store's clock.
    Raises: StoreConflict (decide again), StoreUnavailable, CommitUnknown (look the commands up).
    """
    write = _written(rows, read_at, on_heads)
    with connection() as conn, translated(committing=True):
        result = prepared.run(conn, write.statement(), write.values, write.formats)
    return wire.to_instant(result.get_value(0, 0))


async def append_in_loop(rows: Append, read_at: datetime, on_heads: Mapping[str, Head] = NO_HEADS) -> datetime | None:
    """Do what `append` does in an event loop; None, with nothing sent, when no connection is free at once."""
    write = _written(rows, read_at, on_heads)
    try:
        with connection(AT_ONCE_S) as conn, translated(committing=True):
            result = await prepared.run_in_loop(conn, write.statement(), write.values, write.formats)
    except StoreUnavailable:  # of the pool alone: from the moment that something may be sent it is CommitUnknown
        return None
    return wire.to_instant(result.get_value(0, 0))


class AppendStream:
    """A transaction that is sent piece by piece: `with AppendStream(read_at) as stream`, `send`, at last `commit`.

    Rows are in key order within a piece only, so two streams could deadlock where two appends wait for each other:
    a stream waits LOCK_MS_MAX for a lock and is then a conflict, and the engine's next attempt is an append. Left
    without `commit`, it is rolled back. One that stalls between pieces is ended by the server, with its locks
    (`connection.IDLE_MS_MAX`).
    """

    LOCK_MS_MAX = 100
    _BEGIN = (Statement(b"begin", b"BEGIN"), Statement(b"lock_timeout", b"SET LOCAL lock_timeout = %d" % LOCK_MS_MAX))
    _COMMIT, _ROLLBACK = Statement(b"commit", b"COMMIT"), Statement(b"rollback", b"ROLLBACK")

    def __init__(self, read_at: datetime, on_heads: Mapping[str, Head] = NO_HEADS) -> None:
        """The arguments are those of `append`."""
        self._read_at, self._on_heads = read_at, on_heads
        self._connection = connection()
        self._is_open = True

    def __enter__(self) -> AppendStream:
        self._pipeline = Pipeline(self._connection.__enter__())
        try:
            with translated():
                for statement in self._BEGIN:
                    self._pipeline.send(statement)
        except LedgerError as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def send(self, rows: Append) -> None:
        """Have the server write a piece, without waiting for it."""
        write = _written(rows, self._read_at, self._on_heads)
        self._on_heads = NO_HEADS  # asked once, for all
        with translated():
            self._pipeline.send(write.statement(), write.values, write.formats)
            self._pipeline.sync()

    def commit(self) -> datetime:
        """Wait for everything that was sent, and commit it. Returns and raises: as `append`."""
        self._is_open = False
        deadline = wire.instant(self._read_at + event_store.FINAL_AFTER)
        try:
            with translated(committing=True):
                # Each piece has asked the clock; but commands that were decided since the last may have written none.
                self._pipeline.send(sql.NOW_UNLESS_LATE, [deadline])
                self._pipeline.sync()
                self._pipeline.send(self._COMMIT)
                self._pipeline.sync()
                results = self._pipeline.results()
        except errors.DivisionByZero as error:
            raise TooLate("the transaction took longer than its recorded_at allows") from error
        return wire.to_instant(results[-2].get_value(0, 0))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._is_open:
                self._pipeline.abandon(self._ROLLBACK)
        finally:  # whatever happens, or the pool has one less for ever
            self._connection.__exit__(kind, error, trace)


def _written(rows: Append, read_at: datetime, on_heads: Mapping[str, Head]) -> _Write:
    assert rows.commands or not on_heads, "heads are asked for where events are written on them"
    write = _Write()
    if rows.commands:
        _add_commands(write, rows.commands, read_at + event_store.FINAL_AFTER, on_heads)
    if rows.keys:
        keys = sorted(rows.keys, key=_FIRST)
        if len(keys) == 1:
            ((key, request_hash, outcome),) = keys
            write.add(sql.INSERT_ONE_KEY, TEXT, key.encode(), wire.binary(request_hash), wire.json(outcome))
        else:
            names, request_hashes, outcomes = _columns(keys)
            arrays = wire.texts(names), wire.binaries(request_hashes), wire.jsons(outcomes)
            write.add(sql.INSERT_KEYS, BINARY, *arrays)
    if rows.refusals:
        _add_refusals(write, rows.refusals)
    return write


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

    def statement(self) -> Statement:
        return sql.all_of(*self.inserts)


def _add_commands(write: _Write, commands: list[tuple[UUID, list[RecordedEvent]]], deadline: datetime,
                  on_heads: Mapping[str, Head]) -> None:  # fmt: skip
    # Rows go in in key order, so that two batches that meet wait for each other instead of deadlocking.
    events = sorted((e for _, events in commands for e in events), key=_KEY)
    if len(commands) == 1 and len(events) <= FEW_EVENTS_MAX:
        ((command_id, ordered),) = commands
        recorded_at = wire.instant(ordered[0].recorded_at)
        rows = chain.from_iterable(_scalars(event, recorded_at) for event in events)
        write.add(sql.insert_few_events(len(events)), TEXT, *rows)
        one = (wire.uuid(command_id), wire.instant(deadline), recorded_at)
        heads = [(id_.encode(), wire.integer(h.version), wire.binary(h.hash)) for id_, h in on_heads.items()]
        insert = sql.insert_one_outbox(len(heads))
        write.add(insert, TEXT, *one, *chain.from_iterable(heads), wire.json(_references(ordered)))
        return
    write.add(sql.INSERT_EVENTS, BINARY, *_arrays(events))
    command_ids, instants, references = _columns((id_, e[0].recorded_at, _references(e)) for id_, e in commands)
    outbox = wire.uuids(command_ids), wire.instants(instants), wire.jsons(references)
    if not on_heads:
        write.add(sql.INSERT_OUTBOX, BINARY, wire.binary_instant(deadline), *outbox)
        return
    heads_there = (
        wire.texts(on_heads),
        wire.bigints([head.version for head in on_heads.values()]),
        wire.binaries(head.hash for head in on_heads.values()),
        wire.binary_integer(len(on_heads)),
    )
    write.add(sql.INSERT_OUTBOX_ON_HEADS, BINARY, wire.binary_instant(deadline), *heads_there, *outbox)


def _add_refusals(write: _Write, refusals: list[Refusal]) -> None:
    refusal_ids, command_ids, command_types, commands, actors, codes, details, _ = _columns(refusals)
    write.add(
        sql.INSERT_REFUSALS, BINARY, wire.uuids(refusal_ids), wire.uuids(command_ids), wire.texts(command_types),
        wire.jsons(commands), wire.texts(actors), wire.texts(codes), wire.texts(details),
    )  # fmt: skip


def _scalars(e: RecordedEvent, recorded_at: bytes) -> tuple[bytes, ...]:
    """`recorded_at`: the event's, encoded, as it is for all of a command."""
    effective_at = recorded_at if e.effective_at is e.recorded_at else wire.instant(e.effective_at)
    return (
        wire.uuid(e.event_id), e.aggregate_type.encode(), e.aggregate_id.encode(), wire.integer(e.version),
        e.event_type.encode(), wire.integer(e.schema_version), wire.json(e.data), wire.json(e.metadata),
        wire.json(e.state), recorded_at, effective_at,
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
