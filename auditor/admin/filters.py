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
from projections.models import Account
from projections.transfers import KINDS, STATUSES

CURRENCIES_MAX = 300  # more than there are
# Of their indexes: the fields, in the order in which the lists show them.
JOURNAL_BY_TYPE = ("-event_type", "-position")
ACCOUNTS_BY_CURRENCY = ("currency", "account_id")


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
