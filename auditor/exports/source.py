"""The rows of an export: a list of the portal, narrowed as it is on its page, read a page of its keyset at a time.

It is the admin's own list that says what is in it, so an export shows nothing that its page would not, and costs
the same at the millionth row as at the first. Each page of it is as of when it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import FieldError, PermissionDenied, ValidationError
from django.db import OperationalError, connections
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict

from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.keyset import AFTER, beyond
from auditor.exports.columns import Column, columns_of

ROWS_PER_PIECE = 2_000  # some 2 MB of events
# How long counting may take before an export is shown without a total.
COUNT_MS_MAX = 2_000


class NoSuchList(Exception):
    """There is no such list, or not with these filters; the sentence says why."""


class Source:
    """`lookups` are what is read of each row, `columns` what is made of it."""

    def __init__(self, label: str, model: type[Model], queryset: QuerySet[Any], keyset: Sequence[str]) -> None:
        self.label = label
        self._keyset = keyset
        self._queryset = queryset
        self.columns: list[Column] = columns_of(model, tuple(queryset.query.annotations))
        self._lookups = [column.lookup for column in self.columns if column.lookup]

    def pieces(self) -> Iterator[list[list[Any]]]:
        """Yield the rows, ROWS_PER_PIECE at a time."""
        after: list[Any] | None = None
        while True:
            page = self._queryset if after is None else self._queryset.filter(beyond(self._keyset, after))
            rows = list(page.values(*self._lookups)[:ROWS_PER_PIECE])
            if rows:
                yield [[column.value(row) for column in self.columns] for row in rows]
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


def lists() -> dict[str, str]:
    """Return what can be exported: each list's label and its name for people."""
    shown = [model for model, model_admin in admin.site._registry.items() if isinstance(model_admin, ReadOnlyAdmin)]
    return {model._meta.label_lower: str(model._meta.verbose_name_plural).capitalize() for model in shown}


def open_source(request: HttpRequest, label: str, query: str) -> Source:
    """Return a list narrowed by its page's query string. Raises: NoSuchList, PermissionDenied."""
    model_admin = _admin_of(label)
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    request.GET = _without_page(query)  # type: ignore[assignment]
    try:
        changelist = model_admin.get_changelist_instance(request)
    except (IncorrectLookupParameters, ValidationError, FieldError) as error:
        raise NoSuchList("the list cannot be narrowed like that") from error
    return Source(label, model_admin.model, changelist.queryset, changelist.keyset)


def subjects(request: HttpRequest, label: str, query: str) -> list[tuple[str, str]]:
    """Return kind and id of whom this export is a look at."""
    request.GET = _without_page(query)  # type: ignore[assignment]
    return _admin_of(label).subjects_of_list(request)


def narrowed_by(query: str) -> Sequence[tuple[str, str]]:
    return [(name, str(value)) for name, value in _without_page(query).items()]


def _without_page(query: str) -> QueryDict:
    """The whole list is exported, not what comes after a page of it."""
    given = QueryDict(query, mutable=True)
    given.pop(AFTER, None)
    return given


def _admin_of(label: str) -> ReadOnlyAdmin:
    for model, model_admin in admin.site._registry.items():
        if model._meta.label_lower == label and isinstance(model_admin, ReadOnlyAdmin):
            return model_admin
    raise NoSuchList("there is no such list")
