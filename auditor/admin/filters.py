"""Filters of the portal's lists. Each narrows by a column that an index leads to, and counts nothing."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, RadioFilter
from unfold.contrib.filters.forms import DropdownForm
from unfold.widgets import UnfoldAdminSelectWidget

from auditor.admin.keyset import led_to
from auditor.models import Finding
from ledger.domain.events import EVENT_TYPES
from ledger.models import Tile
from projections.models import Account
from projections.search import ACCOUNT, DESCRIPTION
from projections.transfers import KINDS, STATUSES

CURRENCIES_MAX = 300  # more than there are
# Of their indexes: the fields, in the order in which the lists show them.
JOURNAL_BY_TYPE = ("-event_type", "-position")
ACCOUNTS_BY_CURRENCY = ("currency", "account_id")
ENTRIES_BY_KIND = ("kind", "reference")
TILES_BY_LEVEL = ("-level", "-tile_index")


class PlainDropdownForm(DropdownForm):
    """A browser's own list to choose from; unfold's takes jQuery and another 200 kB of script."""

    widget = UnfoldAdminSelectWidget()
    Media = None


class PlainDropdownFilter(DropdownFilter):
    form_class = PlainDropdownForm


class EventTypeFilter(PlainDropdownFilter):
    title = "event type"
    parameter_name = "event_type"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(name, name) for name in EVENT_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return led_to(queryset, JOURNAL_BY_TYPE, self.value()) if self.value() else queryset


class LateFilter(RadioFilter):
    """Incidents only: the journal has a partial index of them."""

    title = "late"
    parameter_name = "is_late"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [("1", "Late only")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(is_late=True) if self.value() else queryset


class FindingStateFilter(PlainDropdownFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return list(Finding.State.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class TransferStatusFilter(PlainDropdownFilter):
    """Most transfers are complete: the others have a partial index, and those are soon found without one."""

    title = "state"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(name, name) for name in STATUSES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class TransferKindFilter(PlainDropdownFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class CurrencyFilter(PlainDropdownFilter):
    title = "currency"
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(code, code) for code in currencies_in_use()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return led_to(queryset, ACCOUNTS_BY_CURRENCY, self.value()) if self.value() else queryset


class SearchKindFilter(PlainDropdownFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in (ACCOUNT, DESCRIPTION)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return led_to(queryset, ENTRIES_BY_KIND, self.value()) if self.value() else queryset


class LevelFilter(PlainDropdownFilter):
    """The levels of the tree that have a full tile: a tree of 16 million events has three."""

    title = "level"
    parameter_name = "level"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        highest = Tile.objects.order_by("-level").values_list("level", flat=True).first()
        return [(str(level), str(level)) for level in range(0 if highest is None else highest + 1)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return led_to(queryset, TILES_BY_LEVEL, self.value()) if self.value() else queryset


def currencies_in_use() -> list[str]:
    """Return the currencies that accounts hold: one index probe each, where DISTINCT would read every account."""
    found: list[str] = []
    last = ""
    while len(found) < CURRENCIES_MAX:
        row = Account.objects.filter(currency__gt=last).order_by("currency").values_list("currency").first()
        if row is None:
            break
        (last,) = row
        found.append(last)
    return found
