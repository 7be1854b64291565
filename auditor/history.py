"""Reads pages of the journal for subscribers that catch up, and finds where the newest events begin."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from auditor import sql
from auditor.live_events import Filter, LiveEvent, from_sequenced
from ledger.store import history, journal
from ledger.store.connection import connection, translated

# Where no index leads to what is wanted, this many events are looked at for one page, and for what is shown first. A
# page is as many as a frame holds: opening the texts of a thousand kept the first ones back by a quarter of a second.
LOOKED_AT_PER_PAGE, LOOKED_AT_FIRST = 200, 5_000
# Of those the newest are searched before the rest is left to the subscriber: most often what is wanted is not rare.
WINDOWS = (200, 1_000)


@dataclass(frozen=True, slots=True)
class Page:
    """Events that a filter accepts, and the position up to which there are no others."""

    events: list[LiveEvent]
    position: int


def read_page(after: int, wanted: Filter, limit: int, head: int) -> Page:
    """Return at most `limit` events after a position, in position order; fewer say nothing about what is beyond."""
    read_max = LOOKED_AT_PER_PAGE if wanted.must_look else limit
    read = history.sequenced_events(after, read_max, wanted.aggregate_id or None, wanted.event_type or None)
    found = [event for event in from_sequenced(read) if wanted.accepts(event)][:limit]
    if len(found) == limit:
        return Page(found, found[-1].position)
    last = read[-1].position if read else 0
    # A page that is not full says that there is nothing more up to the head there was, or beyond what it holds.
    return Page(found, last if len(read) == read_max else max(head, last))


@dataclass(frozen=True, slots=True)
class Beginning:
    """The position after which a subscriber begins, and how many of the newest events that leaves it to look at.

    `looked_at` is None where it has as many before it as were asked for, or all there are.
    """

    after: int
    looked_at: int | None = None


def before_newest(count: int, wanted: Filter) -> Beginning:
    """Return where the newest `count` events that the filter accepts begin.

    Where no index leads to them they are searched for in growing windows. Where they are too far from the head for
    that, it is where the newest LOOKED_AT_FIRST begin, of which some may be accepted.
    """
    if not wanted.must_look:
        return Beginning(_before_newest_indexed(count, wanted))
    for window, next_window in pairwise((*WINDOWS, LOOKED_AT_FIRST)):
        after = _before_newest_indexed(window, wanted)
        read = history.sequenced_events(after, window, wanted.aggregate_id or None, wanted.event_type or None)
        found = [event for event in from_sequenced(read) if wanted.accepts(event)]
        if len(found) >= count:
            return Beginning(found[-count].position - 1)
        if len(found) * next_window < count * window:
            break  # so seldom that the next window would hardly have enough, and would be looked at for nothing
    return Beginning(_before_newest_indexed(LOOKED_AT_FIRST, wanted), LOOKED_AT_FIRST)


def _before_newest_indexed(count: int, wanted: Filter) -> int:
    """Return the position before the newest `count` events of what has an index: a type, an account, or all."""
    if not wanted.event_type and not wanted.aggregate_id:
        return max(0, journal.head().position - count)
    statement = sql.NEWEST_OF_AGGREGATE if wanted.aggregate_id else sql.NEWEST_OF_TYPE
    with connection() as conn, translated():
        indexed = {"event_type": wanted.event_type, "aggregate_id": wanted.aggregate_id}
        row = conn.execute(statement, {**indexed, "skipped": count - 1}).fetchone()
    return int(row[0]) - 1 if row else 0
