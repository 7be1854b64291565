"""The rows of an export, and those of a table: read a page of its keyset at a time.

So an export costs the same at the millionth row as at the first. Each page of it is as of when it was read. Free
texts are opened as on the page; erased ones read `[erased]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from django.db import OperationalError, connections
from django.db.models import QuerySet

from auditor.admin.keyset import beyond
from auditor.exports.columns import Column, columns_of
from ledger.subjects.texts import open_within

ROWS_PER_PIECE = 2_000  # some 2 MB of events
# How long counting may take before an export is shown without a total.
COUNT_MS_MAX = 2_000


class NoSuchList(Exception):
    """There is no such list, or not with these filters; the sentence says why."""


class Source(Protocol):
    """What can be exported: `pieces` never yields an empty one, `count` may not know."""

    columns: list[Column]

    def pieces(self) -> Iterator[list[list[Any]]]: ...

    def count(self) -> int | None: ...


class TableSource:
    """The rows of a queryset that is in the order of a keyset."""

    def __init__(self, queryset: QuerySet[Any], keyset: Sequence[str]) -> None:
        self._keyset = keyset
        self._queryset = queryset
        self.columns: list[Column] = columns_of(queryset.model, tuple(queryset.query.annotations))
        # What is read of each row; `columns` are made of it.
        self._lookups = [column.lookup for column in self.columns if column.lookup]

    def pieces(self) -> Iterator[list[list[Any]]]:
        """Yield the rows, ROWS_PER_PIECE at a time."""
        after: list[Any] | None = None
        while True:
            page = (
                self._queryset
                if after is None
                else self._queryset.filter(beyond(self._keyset, after, self._queryset.model))
            )
            rows = list(page.values(*self._lookups)[:ROWS_PER_PIECE])
            if rows:
                yield _opened([[column.value(row) for column in self.columns] for row in rows])
            if len(rows) < ROWS_PER_PIECE:
                return
            after = [rows[-1][name.lstrip("-")] for name in self._keyset]

    def count(self) -> int | None:
        """Return how many rows there are, or None when finding out takes longer than COUNT_MS_MAX."""
        connection = connections[self._queryset.db]
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            ((before,),) = cursor.fetchall()
            cursor.execute(f"SET statement_timeout = {COUNT_MS_MAX}")
            try:
                return self._queryset.order_by().count()
            except OperationalError:
                return None
            finally:
                cursor.execute("SELECT set_config('statement_timeout', %s, false)", [before])


def _opened(rows: list[list[Any]]) -> list[list[Any]]:
    """Return rows as their pages show them, free texts opened, with one query for the keys of all of them."""
    cells = open_within([cell for row in rows for cell in row])
    width = len(rows[0])
    return [cells[start : start + width] for start in range(0, len(cells), width)]
