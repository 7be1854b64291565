"""The numbers that say how the ledger is doing, as the dashboard shows them and a websocket's status frame carries.

`lag_events` is the head's position minus the slowest checkpoint, `lag_ms` the greatest lag of a projection as
`projections.overview` says. A database that does not answer is named in `unavailable`; its numbers are then missing,
never old.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import django.db
from django.utils import timezone

from auditor import sql
from auditor.books import BOOKS, Total
from auditor.integrity.standing import Signed, Verified, last_signed, last_verified
from ledger import selectors as ledger
from ledger.domain.instants import format_instant
from ledger.errors import StoreUnavailable
from ledger.store.connection import connection, translated
from projections import overview

RATE_WINDOW_S = 10
RATE_EVENTS_MAX = 2_000  # of the newest events the rate is taken from, so that reading it costs the same at any rate
RECENT_S, RECENT_EVENTS_MAX = 121, 20_000  # what a chart begins with, read once a page


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """`proven_to`: the position up to which it is proven complete; None while the event store does not answer.

    `lag_percentiles_ms`: median, 95th and 99th of the last minute; None when nothing moved in it.
    """

    name: str
    position: int
    is_proven: bool | None
    proven_to: int | None
    lag_events: int | None
    lag_ms: int | None
    lag_percentiles_ms: tuple[float, float, float] | None
    parked: int
    alarm: str


@dataclass(frozen=True, slots=True)
class Status:
    at: str
    head_position: int | None = None
    events_per_second: float | None = None
    outbox_waiting: int | None = None
    late_events: int | None = None
    lag_events: int | None = None
    lag_ms: int | None = None
    projections: list[ProjectionStatus] = field(default_factory=list)
    accounts: int | None = None
    totals: list[Total] = field(default_factory=list)
    is_balanced: bool | None = None
    signed: Signed | None = None
    verified: Verified | None = None
    is_stream_connected: bool | None = None
    unavailable: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Journal:
    head_position: int
    events_per_second: float
    outbox_waiting: int
    late_events: int


def read_status(is_stream_connected: bool | None = None) -> Status:
    """Return the numbers as of now. It never fails: what cannot be read is named in the answer."""
    numbers: dict[str, Any] = {"at": format_instant(timezone.now()), "is_stream_connected": is_stream_connected}
    unavailable = []
    journal = None
    try:
        journal = _read_journal()
        numbers |= {
            "head_position": journal.head_position,
            "events_per_second": journal.events_per_second,
            "outbox_waiting": journal.outbox_waiting,
            "late_events": journal.late_events,
            "signed": last_signed(),
        }
    except StoreUnavailable:
        unavailable.append("event_store")
    try:
        numbers["verified"] = last_verified()
    except django.db.OperationalError:
        unavailable.append("portal")
    try:
        projections = _read_projections(None if journal is None else journal.head_position)
        books = BOOKS.read()
    except django.db.OperationalError:
        return Status(**numbers, unavailable=[*unavailable, "read_model"])
    numbers |= {
        "projections": projections,
        "accounts": books.accounts,
        "totals": list(books.totals),
        "is_balanced": books.is_balanced,
    }
    if projections:
        numbers |= {
            "lag_events": _most(p.lag_events for p in projections),
            "lag_ms": _most(p.lag_ms for p in projections),
        }
    return Status(**numbers, unavailable=unavailable)


def recent_rates() -> list[int]:
    """Return how many events were sequenced in each of the last RECENT_S seconds, the oldest first."""
    with connection() as conn, translated():
        counts = dict(conn.execute(sql.COUNTS_BY_AGE, (RECENT_EVENTS_MAX, RECENT_S)).fetchall())
    return [counts.get(age_s, 0) for age_s in reversed(range(RECENT_S))]


def _read_journal() -> _Journal:
    backlog = ledger.backlog()
    with connection() as conn, translated():
        ((count, since, now),) = conn.execute(sql.RATE, (RATE_EVENTS_MAX, RATE_WINDOW_S)).fetchall()
    # A full sample spans less than the window: then its own span is the measure.
    span_s = RATE_WINDOW_S if count < RATE_EVENTS_MAX else max((now - since).total_seconds(), 0.001)
    return _Journal(backlog.head_position, round(count / span_s, 1), backlog.outbox_commands, ledger.late_events())


def _read_projections(head_position: int | None) -> list[ProjectionStatus]:
    try:
        standings = overview.standings(head_position)
    except StoreUnavailable:
        standings = overview.standings(None)
    return [
        ProjectionStatus(
            name=standing.projection,
            position=standing.position,
            is_proven=standing.is_proven,
            proven_to=standing.proven_to,
            lag_events=standing.behind,
            lag_ms=standing.lag_ms,
            lag_percentiles_ms=standing.lag_percentiles_ms,
            parked=standing.parked,
            alarm=standing.alarm,
        )
        for standing in standings
        if standing.has_run
    ]


def _most(numbers: Iterable[int | None]) -> int | None:
    """Return the greatest of those that are known."""
    return max((number for number in numbers if number is not None), default=None)
