"""Reads filtered pages of the journal for subscribers that catch up, and finds where the newest events begin."""

from __future__ import annotations

from dataclasses import asdict

from auditor import sql
from auditor.live_events import Filter, LiveEvent, from_sequenced
from ledger.store import journal
from ledger.store.connection import connection, translated
from ledger.store.journal import Sequenced
from ledger.store.recorded import RecordedEvent

_EVENT_COLUMNS = 13  # of a row of sql.PAGE_…; what follows places the event in the journal


def read_page(after: int, up_to: int, wanted: Filter, limit: int) -> list[LiveEvent]:
    """Return the first events of positions `after` + 1 to `up_to` that the filter accepts, in order."""
    if not wanted:
        return [from_sequenced(event) for event in journal.read(after, min(limit, up_to - after))]
    statement = _choose(wanted, sql.PAGE_BY_TYPE, sql.PAGE_BY_AGGREGATE, sql.PAGE_BY_BOTH)
    parameters = {**asdict(wanted), "after": after, "up_to": up_to, "limit": limit}
    with connection() as conn, translated():
        rows = conn.execute(statement, parameters, binary=True).fetchall()
    return [from_sequenced(Sequenced(RecordedEvent(*row[:_EVENT_COLUMNS]), *row[_EVENT_COLUMNS:])) for row in rows]


def before_newest(count: int, wanted: Filter) -> int:
    """Return the position after which the newest `count` events that the filter accepts begin."""
    if not wanted:
        return max(0, journal.head().position - count)
    statement = _choose(wanted, sql.NEWEST_BY_TYPE, sql.NEWEST_BY_AGGREGATE, sql.NEWEST_BY_BOTH)
    with connection() as conn, translated():
        row = conn.execute(statement, {**asdict(wanted), "skipped": count - 1}).fetchone()
    return int(row[0]) - 1 if row else 0


def _choose(wanted: Filter, by_type: str, by_aggregate: str, by_both: str) -> str:
    if wanted.event_type and wanted.aggregate_id:
        return by_both
    return by_type if wanted.event_type else by_aggregate
