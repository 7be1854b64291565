"""An account's statement: one line for each event that moved money, newest first, with the balance it left.

A page begins below the position of the last line of the page before. A filter reads at most SCANNED_MAX lines for
one page and then says how far it came, so that nobody's search through a big account costs the others their
answers, and "nothing found" is never said of what was not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from typing import Any

from django import forms
from django.db.models import Q, QuerySet

from auditor.admin.keyset import led_to
from auditor.past.instants import InstantField
from ledger.domain.currencies import decimals_of
from projections.models import Transaction
from projections.money import MOVES_MONEY, REVERSAL

LINES = 50
SCANNED_MAX = 20_000  # some 50 ms
KINDS = sorted({REVERSAL, *(kind for rule in MOVES_MONEY.values() for kind in (rule.kind, rule.kind_in_transfer))})
AMOUNT_MAX = Decimal(10) ** 15  # beyond every balance there can be


class StatementForm(forms.Form):
    """What a statement is narrowed to. `before`: the position of the last line of the page before."""

    kind = forms.ChoiceField(required=False, choices=[("", "All kinds"), *((k, k.replace("_", " ")) for k in KINDS)])
    text = forms.CharField(required=False, max_length=200)
    minimum = forms.DecimalField(required=False, min_value=0, max_value=AMOUNT_MAX)
    maximum = forms.DecimalField(required=False, min_value=0, max_value=AMOUNT_MAX)
    since = InstantField(required=False)
    until = InstantField(required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    @property
    def is_narrowed(self) -> bool:
        return any(self.data.get(name) for name in self.fields if name != "before")


@dataclass(frozen=True, slots=True)
class Statement:
    """`next_before`: where the next page begins, or None at the end. `searched_to`: how far a filter has read."""

    lines: list[Transaction]
    next_before: int | None
    searched_to: int | None


def read_statement(account_id: str, currency: str, wanted: dict[str, Any]) -> Statement:
    """Return the page that a valid form asks for."""
    lines = led_to(Transaction.objects.all(), ("account_id", "-position"), account_id)
    if wanted.get("before"):
        lines = lines.filter(position__lt=wanted["before"])
    condition = _condition(wanted, currency)
    bottom = None
    if condition:
        bottom = lines.values_list("position", flat=True)[SCANNED_MAX - 1 : SCANNED_MAX].first()
        lines = lines.filter(condition, position__gte=bottom or 0)
    found = list(lines[: LINES + 1])
    if len(found) > LINES:
        return Statement(found[:LINES], found[LINES - 1].position, None)
    return Statement(found, bottom, bottom)


def lines_of(account_id: str, currency: str, wanted: dict[str, Any]) -> QuerySet[Transaction]:
    """Return every line that a valid form asks for, the newest first, whatever page of them it asks for."""
    return led_to(Transaction.objects.filter(_condition(wanted, currency)), ("account_id", "-position"), account_id)


def _condition(wanted: dict[str, Any], currency: str) -> Q:
    condition = Q()
    if kind := wanted.get("kind"):
        condition &= Q(kind=kind)
    if text := wanted.get("text"):
        condition &= Q(description__icontains=text) | Q(counter_account__icontains=text)
    unit = Decimal(10) ** decimals_of(currency)
    if (minimum := wanted.get("minimum")) is not None:
        least = ceil(minimum * unit)
        condition &= Q(amount_minor__gte=least) | Q(amount_minor__lte=-least)
    if (maximum := wanted.get("maximum")) is not None:
        condition &= Q(amount_minor__range=(-floor(maximum * unit), floor(maximum * unit)))
    if since := wanted.get("since"):
        condition &= Q(recorded_at__gte=since)
    if until := wanted.get("until"):
        condition &= Q(recorded_at__lte=until)
    return condition
