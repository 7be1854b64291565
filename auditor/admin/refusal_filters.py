"""What the list of refusals is narrowed by: its code, its command, how much it was about, when.

Codes have an index, and time is the list's own order. To the command's type and amount none leads: `LookedAtFilter`s.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Case, DecimalField, Q, QuerySet, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.db.models.lookups import GreaterThanOrEqual
from django.http import HttpRequest
from unfold.contrib.filters.admin import TextFilter
from unfold.widgets import UnfoldAdminTextInputWidget

from auditor.admin.filters import PlainDropdownFilter
from auditor.admin.keyset import LookedAtFilter, led_to
from auditor.past import instants
from auditor.request import AMOUNT
from ledger.api.submissions import FORMS
from ledger.domain.errors import LedgerError

REFUSALS_BY_CODE = ("-code", "-recorded_at", "-refusal_id")
REFUSALS_BY_ACTOR = ("-actor", "-recorded_at", "-refusal_id")
# An amount as commands have it. What has none, or one of another shape, is compared with nothing.
_AMOUNT_TEXT = r"^[0-9]{1,20}(\.[0-9]{1,10})?$"


class PlainTextForm(forms.Form):
    """One line to type in, called what the filter is called."""

    def __init__(self, name: str, label: str, placeholder: str, **options: Any) -> None:
        super().__init__(**options)
        widget = UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder, "autocomplete": "off"})
        self.fields[name] = forms.CharField(label=label, required=False, widget=widget)


class PlainTextFilter(TextFilter):
    placeholder = ""

    def choices(self, changelist: Any) -> Any:
        given = {self.parameter_name: self.value()}
        label = self.title[:1].upper() + self.title[1:]
        yield {"form": PlainTextForm(self.parameter_name or "", label, self.placeholder, data=given)}


class CodeFilter(PlainDropdownFilter):
    title = "code"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(code, code.replace("_", " ")) for code in sorted(_codes(LedgerError))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return led_to(queryset, REFUSALS_BY_CODE, self.value()) if self.value() else queryset


def _codes(error: type[LedgerError]) -> set[str]:
    return {error.code}.union(*(_codes(kind) for kind in error.__subclasses__() if kind.__module__ == error.__module__))


class CommandTypeFilter(LookedAtFilter, PlainDropdownFilter):
    title = "command"
    parameter_name = "command_type"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [(name, name) for name in FORMS]

    def condition(self) -> Q | None:
        return Q(command_type=self.value()) if self.value() else None


class LeastAmountFilter(LookedAtFilter, PlainTextFilter):
    title = "amount from"
    parameter_name = "min_amount"
    placeholder = "500.00"

    def condition(self) -> Any:
        text = (self.value() or "").strip()
        if not text:
            return None
        if not AMOUNT.fullmatch(text):
            raise IncorrectLookupParameters("an amount is such as 500 or 99.50, without sign or currency")
        number: Any = DecimalField(max_digits=30, decimal_places=10)
        amount = Case(When(command__amount__regex=_AMOUNT_TEXT, then=Cast(KT("command__amount"), number)))
        return GreaterThanOrEqual(amount, Value(Decimal(text), output_field=number))


class _RecordedFilter(PlainTextFilter):
    lookup: str  # of the column, against the instant that was given

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        at = _instant(self.value())
        return queryset if at is None else queryset.filter(**{self.lookup: at})


class SinceFilter(_RecordedFilter):
    title = "recorded from (UTC)"
    parameter_name = "since"
    placeholder = "2026-01-30"
    lookup = "recorded_at__gte"


class UntilFilter(_RecordedFilter):
    title = "recorded before (UTC)"
    parameter_name = "until"
    placeholder = "2026-01-31"
    lookup = "recorded_at__lt"


def _instant(text: str | None) -> datetime | None:
    if not (text or "").strip():
        return None
    try:
        return instants.parse(text or "")
    except (ValueError, OverflowError) as error:
        raise IncorrectLookupParameters(instants.HELP) from error
