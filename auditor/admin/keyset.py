"""Pages through a big table without counting it and without OFFSET: each page begins after the last one's row.

A page costs the same at the millionth row as at the first, because the order is always that of an index
(Django's own paginator counts the table on every page and skips what comes before). Narrowed to one account or one
type, a list takes the order of the index that leads there, and asks for it in a way that leaves a planner no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Func, Model, Q, QuerySet, Value
from django.http import HttpRequest
from django.urls import NoReverseMatch
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

# Rows that one page of a list looks at, where no index leads to what it is narrowed to: some 100 ms of refusals.
LOOKED_AT_MAX = 20_000
AFTER = "after"  # the query parameter: the key of the row before the page's first, comma-separated
_SEPARATOR = ","
# How a part of a key is written that holds the separator itself. Nothing else is: any text stays as readable as it was.
_ESCAPES = (("%", "%25"), (_SEPARATOR, "%2C"))


class KeysetPaginator(InfinitePaginator):
    template_name = "auditor/pagination.html"


def led_to(queryset: QuerySet[Any], order: Sequence[str], value: Any) -> QuerySet[Any]:
    """Narrow rows to one value of the first field of an index, in the order of the index: its fields are `order`.

    **Why** a range of one value: by equality PostgreSQL takes that field for a constant and is free to walk the
    table's own key in the order of the rest instead, in the hope of meeting the rows on its way. Those of an account
    that has been quiet for long all lie at its end: 860,000 rows read for 50, half a minute from a cold disk.

    Raises: IncorrectLookupParameters.
    """
    try:
        name = order[0].lstrip("-")
        narrowed = queryset.filter(**{f"{name}__gte": value, f"{name}__lte": value})
    except ValueError as error:  # no value that the field could have
        raise IncorrectLookupParameters from error
    return narrowed.order_by(*order)


class LookedAtFilter(SimpleListFilter):
    """A filter to which no index leads: each row is looked at, and for one page no more than LOOKED_AT_MAX are."""

    def condition(self) -> Any:
        """Return what `QuerySet.filter` takes, or None where nothing is asked. Raises: IncorrectLookupParameters."""
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset  # the list asks for the condition, when it knows where the page begins


class KeysetChangeList(ChangeList):
    """Orders by the model admin's `keyset` (`-name` descends), which must be unique and have an index.

    Narrowed to one value of a field that begins one of the admin's `led_by`, it orders by that. `keyset` is then what
    is left of it, by which the next page is found. `whole` is the list without an end to what is
    looked at, for exports. `searched_to` is the key of the last row that was looked at, when there are more.
    """

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.after = request.GET.get(AFTER, "")
        self.keyset: tuple[str, ...] = ()
        self.searched_to: tuple[Any, ...] | None = None
        super().__init__(request, *args, **kwargs)

    def get_filters(self, request: HttpRequest) -> Any:
        """Take out what an index leads to: it is asked for in `get_queryset`."""
        specs, has_filters, lookups, *rest = super().get_filters(request)
        self._led: tuple[tuple[str, ...], Any] | None = None
        for order in self.model_admin.led_by:
            name = order[0].lstrip("-")
            given = [key for key in (name, f"{name}__exact") if len(lookups.get(key, ())) == 1]
            if len(given) == 1:
                self._led = order, *lookups.pop(given[0])
                break
        return specs, has_filters, lookups, *rest

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        found.pop(AFTER, None)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        led = tuple(queryset.query.order_by)
        return list(led if led in self.model_admin.led_by else self.model_admin.keyset)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        if self._led is not None:
            queryset = led_to(queryset, *self._led)
        order = tuple(str(name) for name in queryset.query.order_by)
        is_led = order in self.model_admin.led_by and (
            order != self.model_admin.keyset or self._is_narrowed_to(order[0])
        )
        self.keyset = order[1:] if is_led else order
        if self.after:
            queryset = queryset.filter(self._beyond())
        given = [spec.condition() for spec in self.filter_specs if isinstance(spec, LookedAtFilter)]
        conditions = [condition for condition in given if condition is not None]
        self.whole = queryset.filter(*conditions)
        return self._looked_at(queryset).filter(*conditions) if conditions else queryset

    def _looked_at(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return no more rows than one page looks at, and remember the last of them."""
        names = [name.lstrip("-") for name in self.keyset]
        self.searched_to = queryset.values_list(*names)[LOOKED_AT_MAX - 1 : LOOKED_AT_MAX].first()
        if self.searched_to is None:
            return queryset
        # The range is what an index can end at; the whole key decides among those that share its first part.
        end = "gte" if self.keyset[0].startswith("-") else "lte"
        within = Q(**{f"{names[0]}__{end}": self.searched_to[0]})
        return queryset.filter(within & ~beyond(self.keyset, self.searched_to, self.model))

    def _is_narrowed_to(self, order: str) -> bool:
        """Return whether a field has one value, where the order alone does not tell: the whole list may have it too."""
        name = order.lstrip("-")
        filters = [spec for spec in self.filter_specs if getattr(spec, "parameter_name", None) == name]
        return self._led is not None or any(spec.value() for spec in filters)

    def _beyond(self) -> Q:
        """Return the condition that the address asks for. Raises: IncorrectLookupParameters."""
        names = [name.lstrip("-") for name in self.keyset]
        texts = [_unescaped(text) for text in self.after.split(_SEPARATOR)]
        if len(texts) != len(names):
            raise IncorrectLookupParameters
        try:
            values = [self.lookup_opts.get_field(n).to_python(t) for n, t in zip(names, texts, strict=True)]
        except ValidationError as error:
            raise IncorrectLookupParameters from error
        return beyond(self.keyset, values, self.model)

    def url_for_result(self, result: Any) -> str:
        """Lead to a row's page. Where rows have none, Django writes the first cell without a link, by its own name."""
        if not getattr(self.model_admin, "has_row_pages", True):
            raise NoReverseMatch
        return str(super().url_for_result(result))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Neither number is one, so the templates must not set one against the other.
        self.full_result_count = self.result_count

    @property
    def next_url(self) -> str:
        """The address of the next page, or nothing when this one is not full."""
        rows = list(self.result_list)
        is_full = len(rows) == self.list_per_page
        if not is_full and self.searched_to is None:
            return ""
        values = [getattr(rows[-1], name.lstrip("-")) for name in self.keyset] if is_full else self.searched_to or ()
        return self.get_query_string({AFTER: _SEPARATOR.join(_text(value) for value in values)})

    @property
    def first_url(self) -> str:
        return self.get_query_string(remove=[AFTER]) if self.after else ""


class _RowBeyond(Func):
    """Compares columns with values as one row, which an index of those columns begins at: `(a, b) > (x, y)`.

    **Why** not part by part: `a >= x AND NOT (a = x AND b <= y)` begins at the first of all rows that share their first
    part, and an account may have a million.
    """

    output_field = BooleanField()

    def __init__(self, *expressions: Any, sign: str) -> None:
        super().__init__(*expressions)
        self.sign = sign

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        compiled = [compiler.compile(expression) for expression in self.source_expressions]
        half = len(compiled) // 2
        columns, values = (", ".join(text for text, _ in part) for part in (compiled[:half], compiled[half:]))
        return f"({columns}) {self.sign} ({values})", [value for _, given in compiled for value in given]


def beyond(keyset: Sequence[str], values: Sequence[Any], model: type[Model]) -> Q:
    """Return the condition "comes after this key", which an index of the keyset's fields begins at."""
    names = [name.lstrip("-") for name in keyset]
    (is_falling,) = {name.startswith("-") for name in keyset}  # or the index would be walked in two directions
    if len(names) == 1:
        return Q(**{f"{names[0]}__{'lt' if is_falling else 'gt'}": values[0]})
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    wanted = [Value(value, output_field=field) for value, field in zip(values, fields, strict=True)]
    return Q(_RowBeyond(*(F(name) for name in names), *wanted, sign="<" if is_falling else ">"))


def _text(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text


def _unescaped(text: str) -> str:
    for plain, escaped in reversed(_ESCAPES):
        text = text.replace(escaped, plain)
    return text
