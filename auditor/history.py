"""Reads filtered pages of the journal for subscribers that catch up, and finds where the newest events begin.

Each statement starts from the index of its filter. An aggregate's versions rise with its positions, so the
index of (aggregate_id, version) gives position order too; ordering by position instead would tempt a planner
to walk the whole journal for the first few of an account.
"""

from __future__ import annotations

from auditor.live_events import Filter, LiveEvent, from_sequenced
from ledger.store import journal, sql
from ledger.store.connection import connection, translated
from ledger.store.journal import Sequenced
from ledger.store.recorded import RecordedEvent

_PAGE = f"""
SELECT {sql.EVENT_COLUMNS}, j.position, j.command_id, j.command_index, j.command_size, j.running_hash
FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.position > %(after)s AND j.position <= %(up_to)s AND {{condition}} ORDER BY {{order}} LIMIT %(limit)s
"""
_OF_TYPE = _PAGE.format(condition="j.event_type = %(event_type)s", order="j.position")
_OF_AGGREGATE = _PAGE.format(condition="j.aggregate_id = %(aggregate_id)s", order="j.version")
_OF_BOTH = _PAGE.format(
    condition="j.aggregate_id = %(aggregate_id)s AND j.event_type = %(event_type)s", order="j.version"
)
# The position before the newest events that a filter accepts.
_NEWEST = """
SELECT position FROM journal WHERE {condition} ORDER BY {order} DESC OFFSET %(skipped)s LIMIT 1
"""
_NEWEST_OF_TYPE = _NEWEST.format(condition="event_type = %(event_type)s", order="position")
_NEWEST_OF_AGGREGATE = _NEWEST.format(condition="aggregate_id = %(aggregate_id)s", order="version")
_NEWEST_OF_BOTH = _NEWEST.format(
    condition="aggregate_id = %(aggregate_id)s AND event_type = %(event_type)s", order="version"
)


def read_page(after: int, up_to: int, wanted: Filter, limit: int) -> list[LiveEvent]:
    """Return the first events of positions `after` + 1 to `up_to` that the filter accepts, in order."""
    if not wanted.aggregate_id and not wanted.event_type:
        return [from_sequenced(event) for event in journal.read(after, min(limit, up_to - after))]
    statement = _OF_TYPE if not wanted.aggregate_id else _OF_BOTH if wanted.event_type else _OF_AGGREGATE
    parameters = {**_parameters(wanted), "after": after, "up_to": up_to, "limit": limit}
    with connection() as conn, translated():
        rows = conn.execute(statement, parameters, binary=True).fetchall()
    return [from_sequenced(Sequenced(RecordedEvent(*row[:13]), *row[13:])) for row in rows]


def before_newest(count: int, wanted: Filter) -> int:
    """Return the position after which the newest `count` events that the filter accepts begin."""
    if not wanted.aggregate_id and not wanted.event_type:
        return max(0, journal.head().position - count)
    statement = (
        _NEWEST_OF_TYPE if not wanted.aggregate_id else _NEWEST_OF_BOTH if wanted.event_type else _NEWEST_OF_AGGREGATE
    )
    with connection() as conn, translated():
        row = conn.execute(statement, {**_parameters(wanted), "skipped": count - 1}).fetchone()
    return int(row[0]) - 1 if row else 0


def _parameters(wanted: Filter) -> dict[str, str]:
    return {"event_type": wanted.event_type, "aggregate_id": wanted.aggregate_id}
