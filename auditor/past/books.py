"""The books as of an instant or a position: every balance, the trial balance, whether that is final, and what changed.

Cut by what was known (recorded_at), by what counted (effective_at) or by position; `projections.time_travel` adds
them up. The address holds all of it, so what is on the screen can be shared. Opened without an instant the page
adds nothing up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from auditor.admin.formats import account_link, anchor, money, travel_url
from auditor.pages import render
from auditor.past import instants
from auditor.past.frame import reads_the_stores
from ledger.domain.instants import format_instant
from projections.time_travel import Balance, Books, Change, Cut, Total, difference
from projections.time_travel import books as read_books

LINES = 50
RECORDED_AT, EFFECTIVE_AT, POSITION = "recorded_at", "effective_at", "position"
WAYS = {
    RECORDED_AT: "what was known then (recorded at)",
    EFFECTIVE_AT: "what counts by then (effective at)",
    POSITION: "journal position",
}
POSITION_HELP = "A position is a whole number from 0."
POSITION_MAX = 2**63 - 1


class BooksForm(forms.Form):
    """`at` and `against` are instants, or positions, as `by` says. `after`: the last account of the page before."""

    by = forms.ChoiceField(choices=list(WAYS.items()), required=False)
    at = forms.CharField(required=False, max_length=64)
    against = forms.CharField(required=False, max_length=64)
    after = forms.CharField(required=False, max_length=80)

    def clean_by(self) -> str:
        return self.cleaned_data["by"] or RECORDED_AT

    def clean_at(self) -> Cut | None:
        return self._cut("at")

    def clean_against(self) -> Cut | None:
        return self._cut("against")

    def _cut(self, name: str) -> Cut | None:
        text, by = self.cleaned_data[name], self.cleaned_data.get("by", RECORDED_AT)
        if not text:
            return None
        if by == POSITION:
            if not (text.isascii() and text.isdigit() and int(text) <= POSITION_MAX):
                raise forms.ValidationError(POSITION_HELP)
            return Cut(position=int(text))
        try:
            at = instants.parse(text)
            return Cut(recorded_at=at) if by == RECORDED_AT else Cut(effective_at=at)
        except (ValueError, OverflowError) as error:
            raise forms.ValidationError(instants.HELP) from error


@dataclass(frozen=True, slots=True)
class Side:
    """One set of books on the page, with the words for where it was cut."""

    words: str
    books: Books

    @property
    def totals(self) -> list[dict[str, Any]]:
        return [_total(total) for total in self.books.totals]

    @property
    def is_balanced(self) -> bool:
        return all(total.accounts_minor + total.external_minor == 0 for total in self.books.totals)


@reads_the_stores
def books(request: HttpRequest) -> HttpResponse:
    """Show the books at a cut, or what differs between two."""
    form = BooksForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    context: dict[str, Any] = {"form": form, "ways": WAYS, "picks": _picks(timezone.now())}
    if wanted.get("at") and wanted.get("against"):
        context |= _comparison(request, wanted["at"], wanted["against"], wanted["after"])
    elif wanted.get("at"):
        context |= _balances(request, wanted["at"], wanted["after"])
    context["export_query"] = urlencode({"list": "books", **_asked(request)})
    return render(request, "auditor/books.html", "Books as of", **context)


def _balances(request: HttpRequest, cut: Cut, after: str) -> dict[str, Any]:
    found = read_books(cut, after or None, LINES + 1)
    rows, next_url = _paged(request, found.balances)
    return {
        "sides": [Side(_words(cut), found)],
        "is_final": found.is_final,
        "balances": [_balance(row, cut) for row in rows],
        "next_url": next_url,
        "first_url": _url(request, "") if after else "",
    }


def _comparison(request: HttpRequest, cut: Cut, against: Cut, after: str) -> dict[str, Any]:
    found = difference(cut, against, after or None, LINES + 1)
    rows, next_url = _paged(request, found.changes)
    return {
        "sides": [Side(_words(cut), found.before), Side(_words(against), found.after)],
        "is_final": found.is_final,
        "changes": [_change(row, cut, against) for row in rows],
        "changed": found.total,
        "next_url": next_url,
        "first_url": _url(request, "") if after else "",
    }


def _paged(request: HttpRequest, rows: list[Any]) -> tuple[list[Any], str]:
    """Return a page of rows, and the address of the next when there is one."""
    if len(rows) <= LINES:
        return rows, ""
    return rows[:LINES], _url(request, rows[LINES - 1].account_id)


def _url(request: HttpRequest, after: str) -> str:
    query = _asked(request)
    return f"?{urlencode({**query, 'after': after} if after else query)}#accounts"


def _asked(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ("by", "at", "against") if request.GET.get(name)}


def _words(cut: Cut) -> str:
    if cut.position is not None:
        return f"position {cut.position:,}"
    instant = cut.recorded_at or cut.effective_at
    assert instant is not None, "a cut of this page has one bound"
    return instants.in_words(instant)


def _total(total: Total) -> dict[str, Any]:
    difference_minor = total.accounts_minor + total.external_minor
    return {
        "currency": total.currency,
        "accounts": total.accounts,
        "postings": total.postings,
        "inside": money(total.accounts_minor, total.currency),
        "outside": money(total.external_minor, total.currency),
        "sum": money(difference_minor, total.currency),
        "is_balanced": difference_minor == 0,
    }


def _balance(row: Balance, cut: Cut) -> dict[str, Any]:
    then = ""
    if cut.recorded_at is not None:
        travel = travel_url(row.account_id)
        then = anchor(f"{travel}?{urlencode({'at': format_instant(cut.recorded_at)})}", "Then")
    return {
        "account": account_link(row.account_id),
        "balance": money(row.balance_minor, row.currency),
        "then": then,
    }


def _change(row: Change, cut: Cut, against: Cut) -> dict[str, Any]:
    between = ""
    if cut.recorded_at is not None and against.recorded_at is not None:
        since, until = sorted((cut.recorded_at, against.recorded_at))
        statement = reverse("admin:projections_account_change", args=[quote(row.account_id)])
        # What was recorded at the first instant is in the first books.
        period = {"since": format_instant(since + instants.MICROSECOND), "until": format_instant(until)}
        between = anchor(f"{statement}?{urlencode(period)}#statement", "What moved")
    return {
        "between": between,
        "account": account_link(row.account_id),
        "before": money(row.before_minor, row.currency),
        "after": money(row.after_minor, row.currency),
        "change": money(row.after_minor - row.before_minor, row.currency, signed=True),
    }


def _picks(now: datetime) -> list[tuple[str, str]]:
    """Return what is often asked for, each with its address: the books at an instant, and two against each other."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    picks = {
        "Now": now,
        "An hour ago": now - timedelta(hours=1),
        "A week ago": now - timedelta(weeks=1),
        "Start of today": today,
        "Start of this month": today.replace(day=1),
        "Start of this year": today.replace(month=1, day=1),
    }
    against = {"An hour ago and now": "An hour ago", "A week ago and now": "A week ago"}
    asked = {
        **{name: {"at": format_instant(at)} for name, at in picks.items()},
        **{name: {"at": format_instant(picks[at]), "against": format_instant(now)} for name, at in against.items()},
    }
    return [(name, f"?{urlencode({'by': RECORDED_AT, **query})}") for name, query in asked.items()]
