"""Reads pages of the journal for subscribers that catch up, and finds where the newest events begin."""

from __future__ import annotations

from dataclasses import asdict

from auditor import sql
from auditor.live_events import Filter, LiveEvent, from_sequenced
from ledger.store import history, journal
from ledger.store.connection import connection, translated


def read_page(after: int, wanted: Filter, limit: int) -> list[LiveEvent]:
    """Return the first `limit` events after a position that the filter accepts, in position order."""
    found = history.sequenced_events(after, limit, wanted.aggregate_id or None, wanted.event_type or None)
    return from_sequenced(found)


def before_newest(count: int, wanted: Filter) -> int:
    """Return the position after which the newest `count` events that the filter accepts begin."""
    if not wanted:
        return max(0, journal.head().position - count)
    statement = sql.NEWEST_OF_AGGREGATE if wanted.aggregate_id else sql.NEWEST_OF_TYPE
    with connection() as conn, translated():
        row = conn.execute(statement, {**asdict(wanted), "skipped": count - 1}).fetchone()
    return int(row[0]) - 1 if row else 0
