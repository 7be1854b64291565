"""A dry run of many batches: each is tried on what the batches before it would have left behind.

The engine's own plan decides; nothing of it is appended. What the plan leaves (the heads it moved, the keys it used)
is kept in a temporary database on disk, so that memory does not grow with the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any
from uuid import UUID

import orjson

from ledger.domain import aggregates
from ledger.domain.instants import format_instant, parse_instant
from ledger.engine.originals import with_originals
from ledger.engine.plan import Plan
from ledger.engine.replay import event_ids_in
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.store import event_store
from ledger.store.event_store import Head, Snapshot
from ledger.store.recorded import RecordedEvent

_TABLES = """
CREATE TABLE heads (aggregate_id TEXT PRIMARY KEY, version INTEGER, state BLOB, hash BLOB, recorded_at TEXT)
  WITHOUT ROWID;
CREATE TABLE keys (key TEXT PRIMARY KEY, request_hash BLOB, outcome BLOB) WITHOUT ROWID;
CREATE TABLE events (event_id TEXT PRIMARY KEY, event BLOB) WITHOUT ROWID;
"""


class Rehearsal:
    """Use as a context manager."""

    def __init__(self) -> None:
        self._kept = sqlite3.connect("", isolation_level=None)
        self._kept.execute("PRAGMA journal_mode = OFF")
        self._kept.executescript(_TABLES)

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()

    def execute(self, submissions: Sequence[Submission], *, atomic: bool) -> list[Outcome]:
        """Return what the engine would answer after all that was rehearsed before. Raises: StoreUnavailable."""
        submissions = with_originals(submissions)
        aggregate_ids = sorted({id_ for s in submissions for id_ in s.command.aggregate_ids})
        keys = sorted({s.stored_key for s in submissions if s.stored_key is not None})
        snapshot = event_store.read(aggregate_ids, keys)
        stored = {id_ for _, outcome in snapshot.keys.values() for id_ in event_ids_in(outcome)}
        snapshot.events.update(event_store.read_events(stored) if stored else {})
        self._lay_over(snapshot, aggregate_ids, keys)
        plan = Plan(snapshot, Sealer(submissions, snapshot.heads, dry_run=True), atomic=atomic)
        for submission in submissions:
            plan.add(submission)
        plan.finish()
        if not atomic or not any(isinstance(outcome, Rejected) for outcome in plan.outcomes):
            self._keep(plan, snapshot)
        return plan.outcomes

    def _lay_over(self, snapshot: Snapshot, aggregate_ids: Iterable[str], keys: Iterable[str]) -> None:
        """Put what was rehearsed before over what the store has."""
        for id_, version, state, hash_, recorded_at in self._found("heads", "aggregate_id", aggregate_ids):
            known = aggregates.read_state(id_, orjson.loads(state))
            snapshot.heads[id_] = Head(version, known, hash_, parse_instant(recorded_at))
        for key, request_hash, outcome in self._found("keys", "key", keys):
            stored = orjson.loads(outcome)
            snapshot.keys[key] = (request_hash, stored)
            ids = [str(id_) for id_ in event_ids_in(stored)]
            snapshot.events.update((UUID(id_), _event(event)) for id_, event in self._found("events", "event_id", ids))

    def _keep(self, plan: Plan, snapshot: Snapshot) -> None:
        rows = plan.rows
        events = [event for _, events in rows.commands for event in events]
        moved = {event.aggregate_id for event in events}
        with self._kept:
            self._kept.executemany("REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", (
                (id_, head.version, orjson.dumps(aggregates.of_id(id_).write(head.state)), head.hash,
                 format_instant(_instant(head)))
                for id_, head in ((id_, snapshot.heads[id_]) for id_ in moved)
            ))  # fmt: skip
            self._kept.executemany(
                "INSERT INTO keys VALUES (?, ?, ?)",
                ((key, hash_, orjson.dumps(stored)) for key, hash_, stored in rows.keys),
            )
            self._kept.executemany(
                "INSERT INTO events VALUES (?, ?)", ((str(event.event_id), _json(event)) for event in events)
            )

    def _found(self, table: str, column: str, wanted: Iterable[str]) -> list[Any]:
        query = f"SELECT t.* FROM json_each(?) AS w JOIN {table} AS t ON t.{column} = w.value"  # noqa: S608 (ours)
        return self._kept.execute(query, (orjson.dumps(list(wanted)).decode(),)).fetchall()


def _instant(head: Head) -> datetime:
    assert head.recorded_at is not None, "a head that was moved has an instant"
    return head.recorded_at


def _json(event: RecordedEvent) -> bytes:
    hashes = {"previous_hash": event.previous_hash.hex(), "hash": event.hash.hex()}
    instants = {"recorded_at": format_instant(event.recorded_at), "effective_at": format_instant(event.effective_at)}
    return orjson.dumps({**event._asdict(), **hashes, **instants})


def _event(json: bytes) -> RecordedEvent:
    fields = orjson.loads(json)
    hashes = {name: bytes.fromhex(fields[name]) for name in ("previous_hash", "hash")}
    instants = {name: parse_instant(fields[name]) for name in ("recorded_at", "effective_at")}
    return RecordedEvent(**{**fields, "event_id": UUID(fields["event_id"]), **hashes, **instants})
