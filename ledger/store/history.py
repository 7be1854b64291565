"""Reads of the event store for people: the past of an account, and the events in the order of the journal.

The engine does not come through here. Every query is an index probe or a bounded range; what a caller
counts is counted by index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg_pool import PoolTimeout

from ledger.errors import StoreUnavailable
from ledger.store import rounds, sql
from ledger.store.connection import AT_ONCE_S, connection, translated
from ledger.store.event_store import FINAL_AFTER as FINAL_AFTER
from ledger.store.journal import Sequenced
from ledger.store.prepared import StoreConnection
from ledger.store.recorded import RecordedEvent
from ledger.store.rounds import Round


@dataclass(frozen=True, slots=True)
class StateAt:
    """The last event of an aggregate recorded at or before an instant; None before its first.

    `is_final`: nothing can be recorded at or before the instant any more. `head_position`: the journal's end, read
    before the event.
    """

    event: RecordedEvent | None
    is_final: bool
    head_position: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far the journal is, and which accepted commands it has not ordered yet, by the store's clock."""

    now: datetime
    head_position: int
    outbox_commands: int
    oldest_recorded_at: datetime | None

    def is_settled(self, instant: datetime) -> bool:
        """Return whether every event recorded at or before an instant is in the journal up to `head_position`."""
        is_ordered = self.oldest_recorded_at is None or instant < self.oldest_recorded_at
        return is_ordered and instant <= self.now - FINAL_AFTER


def head_version(aggregate_id: str) -> int:
    """Return the aggregate's version; 0 when it does not exist."""
    with connection() as conn, translated():
        row = conn.execute(sql.READ_HEAD_VERSION, (aggregate_id,)).fetchone()
    return row[0] if row else 0


def state_at(aggregate_id: str, instant: datetime) -> StateAt:
    """Return an aggregate as of an instant. Shape: one round trip, of statements that are prepared (ADR 9)."""
    asked = _state_at(aggregate_id, instant)
    with connection() as conn, translated():
        return _found_at(instant, conn, asked.run(conn))


async def state_at_in_loop(aggregate_id: str, instant: datetime) -> StateAt | None:
    """Do the same in an event loop; None when no connection is free at once."""
    asked = _state_at(aggregate_id, instant)
    try:
        with connection(AT_ONCE_S) as conn, translated():
            return _found_at(instant, conn, await asked.run_in_loop(conn))
    except StoreUnavailable as error:
        if isinstance(error.__cause__, PoolTimeout):
            return None
        raise


def _state_at(aggregate_id: str, instant: datetime) -> Round:
    asked = Round()
    asked.execute(sql.COUNT_ALL)
    asked.execute(sql.NOW)
    # The clock before the state, and settled: what is final by it has committed before the state is read.
    asked.settle()
    asked.execute(sql.READ_STATE_AT, (aggregate_id, instant))
    return asked


def _found_at(instant: datetime, conn: StoreConnection, results: list[Any]) -> StateAt:
    (((head,),), ((now,),), found) = (rounds.rows(conn, result) for result in results)
    return StateAt(RecordedEvent(*found[0]) if found else None, instant <= now - FINAL_AFTER, head)


def events_of(aggregate_id: str, versions: list[int]) -> dict[int, RecordedEvent]:
    """Return an aggregate's events at these versions, those that exist."""
    keys = ([aggregate_id] * len(versions), versions)
    with connection() as conn, translated():
        rows = conn.execute(sql.READ_EVENTS_BY_KEY, keys, binary=True).fetchall()
    return {event.version: event for event in (RecordedEvent(*row) for row in rows)}


def sequenced_events(after: int, limit: int, aggregate_id: str | None, event_type: str | None) -> list[Sequenced]:
    """Return up to `limit` events after a position, in the order of the journal."""
    query = (
        sql.READ_SEQUENCED_OF_AGGREGATE
        if aggregate_id is not None
        else sql.READ_SEQUENCED_OF_TYPE
        if event_type is not None
        else sql.READ_SEQUENCED
    )
    filters = {"after": after, "limit": limit, "aggregate_id": aggregate_id, "event_type": event_type}
    with connection() as conn, translated():
        rows = conn.execute(query, filters, binary=True).fetchall()
    return [Sequenced(RecordedEvent(*row[:13]), *row[13:]) for row in rows]


def count_events(aggregate_id: str | None, event_type: str | None) -> int:
    query = (
        sql.COUNT_OF_AGGREGATE
        if aggregate_id is not None
        else sql.COUNT_OF_TYPE
        if event_type is not None
        else sql.COUNT_ALL
    )
    return _one(query, {"aggregate_id": aggregate_id, "event_type": event_type})[0]


def find_event(event_id: UUID) -> tuple[RecordedEvent, int | None, bytes | None] | None:
    """Return an event with its position and running hash, which are None until the relay has ordered it."""
    with connection() as conn, translated():
        row = conn.execute(sql.READ_EVENT, (event_id,), binary=True).fetchone()
    return (RecordedEvent(*row[:13]), row[13], row[14]) if row else None


def now() -> datetime:
    """Return the store's clock, which is the one that recorded_at is taken from."""
    instant: datetime = _one(sql.NOW, {})[0]
    return instant


def late_events() -> int:
    """Return how many events became visible too late for earlier answers to have been final: incidents."""
    return int(_one(sql.COUNT_LATE, {})[0])


def backlog() -> Backlog:
    return Backlog(*_one(sql.BACKLOG, {}))


def _one(query: str, parameters: dict[str, Any]) -> tuple[Any, ...]:
    with connection() as conn, translated():
        row = conn.execute(query, parameters).fetchone()
    assert row is not None, "an aggregate query gives a row"
    return row
