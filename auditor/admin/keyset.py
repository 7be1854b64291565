"""Pages through a big table without counting it and without OFFSET: each page begins after the last one's row.

A page costs the same at the millionth row as at the first, because the order is always that of an index
(Django's own paginator counts the table on every page and skips what comes before).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

AFTER = "after"  # the query parameter: the key of the row before the page's first, comma-separated
_SEPARATOR = ","


class KeysetPaginator(InfinitePaginator):
    template_name = "auditor/pagination.html"


class KeysetChangeList(ChangeList):
    """Orders by the model admin's `keyset` (`-name` descends), which must be unique and have an index."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.after = request.GET.get(AFTER, "")
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(AFTER, None)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        return list(self.model_admin.keyset)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return queryset.filter(self._beyond()) if self.after else queryset

    def _beyond(self) -> Q:
        """Return the condition that the address asks for. Raises: IncorrectLookupParameters."""
        names = [name.lstrip("-") for name in self.model_admin.keyset]
        # Only the first part of a key may hold commas, so what is behind them is split off from the right.
        texts = self.after.rsplit(_SEPARATOR, len(names) - 1)
        if len(texts) != len(names):
            raise IncorrectLookupParameters
        try:
            values = [self.lookup_opts.get_field(n).to_python(t) for n, t in zip(names, texts, strict=True)]
        except ValidationError as error:
            raise IncorrectLookupParameters from error
        return beyond(self.model_admin.keyset, values)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Neither number is one, so the templates must not set one against the other.
        self.full_result_count = self.result_count

    @property
    def next_url(self) -> str:
        """The address of the next page, or nothing when this one is not full."""
        rows = list(self.result_list)
        if len(rows) < self.list_per_page:
            return ""
        values = (getattr(rows[-1], name.lstrip("-")) for name in self.model_admin.keyset)
        return self.get_query_string({AFTER: _SEPARATOR.join(_text(value) for value in values)})

    @property
    def first_url(self) -> str:
        return self.get_query_string(remove=[AFTER]) if self.after else ""


def beyond(keyset: Sequence[str], values: Sequence[Any]) -> Q:
    """Return the condition "comes after this key", led by a range that an index can start from."""
    *head, last = zip(keyset, values, strict=True)
    if not head:
        return Q(**{_beyond(last[0]): last[1]})
    (order, value), *_ = head
    at_or_beyond = Q(**{f"{_beyond(order)}e": value})
    not_beyond_within = Q(**{order.lstrip("-"): value}) & ~Q(**{_beyond(last[0]): last[1]})
    return at_or_beyond & ~not_beyond_within


def _beyond(order: str) -> str:
    return f"{order[1:]}__lt" if order.startswith("-") else f"{order}__gt"


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
