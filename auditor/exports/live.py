"""The live page's events as an export: what its filter accepts, from the first event to the head there is now.

They are read as that page reads them, with their texts opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from django.http import QueryDict

from auditor import access_log
from auditor.exports import source
from auditor.exports.columns import Column, Kind, named
from auditor.exports.source import NoSuchList
from auditor.history import read_page
from auditor.live_events import Filter, LiveEvent
from auditor.request import FILTERS, Refused, filter_of
from ledger.domain.instants import parse_instant
from ledger.store import journal

LABEL, NAME = "live", "Live events"


def _instant_of(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: parse_instant(row[name])


COLUMNS = [
    named("position", Kind.INTEGER),
    named("event_id"),
    named("event_type"),
    named("aggregate_id"),
    named("version", Kind.INTEGER),
    named("amount", Kind.DECIMAL),
    Column("currency", Kind.TEXT, lambda row: row["data"].get("currency") or row["state"].get("currency")),
    Column("recorded_at", Kind.INSTANT, _instant_of("recorded_at")),
    Column("effective_at", Kind.INSTANT, _instant_of("effective_at")),
    *(named(name, Kind.JSON) for name in ("data", "state", "metadata")),
    *(named(name) for name in ("command_id", "previous_hash", "hash", "running_hash")),
]


class LiveSource:
    """Events in position order up to `head`, so that an export of a ledger that goes on has an end."""

    columns = COLUMNS

    def __init__(self, wanted: Filter, head: int) -> None:
        self._wanted, self._head = wanted, head

    def pieces(self) -> Iterator[list[list[Any]]]:
        after = 0
        while after < self._head:
            page = read_page(after, self._wanted, source.ROWS_PER_PIECE, self._head)
            if rows := [self._row(event) for event in page.events if event.position <= self._head]:
                yield rows
            after = page.position

    def count(self) -> int | None:
        return None if self._wanted else self._head

    def _row(self, event: LiveEvent) -> list[Any]:
        values = {**orjson.loads(event.body), "amount": event.amount}
        return [column.value(values) for column in self.columns]


def open_source(given: QueryDict) -> LiveSource:
    """Return the events that the page's filter accepts. Raises: NoSuchList."""
    if unknown := given.keys() - set(FILTERS):
        raise NoSuchList(f"live events are not narrowed by {min(unknown)}")
    try:
        wanted = filter_of({name: given.get(name, "").strip() for name in FILTERS})
    except Refused as refused:
        raise NoSuchList(refused.error) from refused
    return LiveSource(wanted, journal.head().position)


def subjects(given: QueryDict) -> list[tuple[str, str]]:
    account_id = given.get("aggregate_id", "").strip()
    return [(access_log.ACCOUNT, account_id)] if account_id else []
