"""The numbers that say how the ledger is doing, as the dashboard shows them and a websocket's status frame carries.

`docs/` explains them to a reader; in short: `lag_events` is the head's position minus the slowest checkpoint,
`lag_ms` how long the slowest projection took to show the last event, or how old the first one is that it has
not shown yet. A database that does not answer is named in `unavailable`; its numbers are then missing, never old.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import django.db
from django.utils import timezone

from auditor.books import BOOKS, Total
from ledger.domain.instants import format_instant
from ledger.errors import StoreUnavailable
from ledger.store.connection import connection, translated
from projections.models import Checkpoint

RATE_WINDOW_S = 10
RATE_EVENTS_MAX = 2_000  # of the newest events the rate is taken from, so that reading it costs the same at any rate
OUTBOX_COUNTED_MAX = 10_000
RECENT_S, RECENT_EVENTS_MAX = 120, 20_000  # what a chart begins with, read once a page

_HEAD = """
SELECT coalesce(max(position), 0), clock_timestamp() FROM (SELECT position FROM journal ORDER BY position DESC LIMIT 1) AS head
"""
_RATE = f"""
SELECT count(*), min(sequenced_at)
FROM (SELECT sequenced_at FROM journal ORDER BY position DESC LIMIT {RATE_EVENTS_MAX}) AS newest
WHERE sequenced_at > clock_timestamp() - interval '{RATE_WINDOW_S} seconds'
"""
_RECENT = f"""
SELECT floor(extract(epoch FROM clock_timestamp() - sequenced_at))::int AS age_s, count(*)
FROM (SELECT sequenced_at FROM journal ORDER BY position DESC LIMIT {RECENT_EVENTS_MAX}) AS newest
WHERE sequenced_at > clock_timestamp() - interval '{RECENT_S} seconds' GROUP BY 1
"""
_WAITING = f"SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT {OUTBOX_COUNTED_MAX}) AS counted"
_SEQUENCED_AT = "SELECT sequenced_at FROM journal WHERE position = %s"


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    name: str
    position: int
    lag_events: int | None
    lag_ms: int
    alarm: str


@dataclass(frozen=True, slots=True)
class Status:
    at: str
    head_position: int | None = None
    events_per_second: float | None = None
    outbox_waiting: int | None = None
    lag_events: int | None = None
    lag_ms: int | None = None
    projections: list[ProjectionStatus] = field(default_factory=list)
    accounts: int | None = None
    totals: list[Total] = field(default_factory=list)
    is_balanced: bool | None = None
    is_stream_connected: bool | None = None
    unavailable: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read_status(is_stream_connected: bool | None = None) -> Status:
    """Return the numbers as of now. It never fails: what cannot be read is named in the answer."""
    numbers: dict[str, Any] = {"at": format_instant(timezone.now()), "is_stream_connected": is_stream_connected}
    unavailable = []
    try:
        journal = _read_journal()
    except StoreUnavailable:
        journal = None
        unavailable.append("event_store")
    else:
        numbers |= {
            "head_position": journal.head_position,
            "events_per_second": journal.events_per_second,
            "outbox_waiting": journal.outbox_waiting,
        }
    try:
        numbers |= _read_projections(journal)
        numbers |= _read_books()
    except django.db.OperationalError:
        unavailable.append("read_model")
    except StoreUnavailable:
        unavailable.append("event_store")
    return Status(**numbers, unavailable=unavailable)


@dataclass(frozen=True, slots=True)
class _Journal:
    head_position: int
    now: datetime
    events_per_second: float
    outbox_waiting: int


def _read_journal() -> _Journal:
    with connection() as conn, translated(), conn.pipeline():
        head, rate, waiting = conn.execute(_HEAD), conn.execute(_RATE), conn.execute(_WAITING)
        head_position, now = head.fetchone() or (0, None)
        count, since = rate.fetchone() or (0, None)
        (outbox_waiting,) = waiting.fetchone() or (0,)
    # A full sample spans less than the window: then its own span is the measure.
    span_s = RATE_WINDOW_S if count < RATE_EVENTS_MAX else max((now - since).total_seconds(), 0.001)
    return _Journal(head_position, now, round(count / span_s, 1), outbox_waiting)


def _read_projections(journal: _Journal | None) -> dict[str, Any]:
    rows = Checkpoint.objects.order_by("projection")
    projections = [
        ProjectionStatus(
            name=row.projection,
            position=row.position,
            # The checkpoint was read after the head, so it may be beyond it.
            lag_events=None if journal is None else max(0, journal.head_position - row.position),
            lag_ms=row.lag_ms,
            alarm=row.alarm,
        )
        for row in rows
    ]
    if journal is None or not projections:
        return {"projections": projections}
    slowest = min(projections, key=lambda projection: projection.position)
    lag_ms = max(projection.lag_ms for projection in projections)
    if slowest.lag_events:
        lag_ms = max(lag_ms, _age_ms(slowest.position + 1, journal.now))
    return {"projections": projections, "lag_events": slowest.lag_events, "lag_ms": lag_ms}


def _age_ms(position: int, now: datetime) -> int:
    with connection() as conn, translated():
        row = conn.execute(_SEQUENCED_AT, (position,)).fetchone()
    return max(0, int((now - row[0]).total_seconds() * 1000)) if row else 0


def _read_books() -> dict[str, Any]:
    books = BOOKS.read()
    return {"accounts": books.accounts, "totals": list(books.totals), "is_balanced": books.is_balanced}


def recent_rates() -> list[int]:
    """Return how many events were sequenced in each of the last RECENT_S seconds, the oldest first."""
    with connection() as conn, translated():
        counts = dict(conn.execute(_RECENT).fetchall())
    return [counts.get(age_s, 0) for age_s in reversed(range(RECENT_S))]
