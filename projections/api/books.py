"""The whole books as they were, by what was recorded, by what counted or by position, and what changed between."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger import selectors as ledger
from ledger.api import fields, parameters
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.schema import INSTANT, query, read
from ledger.api.waiting import MIN_POSITION
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from projections import time_travel
from projections.api.freshness import reached
from projections.api.schema import LIMIT, BooksAnswer, BooksDifferenceAnswer
from projections.time_travel import Balance, Books, Change, Cut, Difference, Total

RECORDED_AT, EFFECTIVE_AT = "recorded_at", "effective_at"
_AFTER = query("after", str, "only accounts whose id comes after this one")
_ACCOUNT = query("account_id", str, "only this account among the balances")
_BOOKS_PARAMETERS = [
    query(RECORDED_AT, INSTANT, "what was known at this instant: RFC 3339 with an offset, to the microsecond"),
    query(EFFECTIVE_AT, INSTANT, "what counted at this instant; together with recorded_at, as was known then"),
    query("position", int, "what the journal held up to this position"),
    _ACCOUNT, LIMIT, _AFTER, MIN_POSITION,
]  # fmt: skip
_DIFFERENCE_PARAMETERS = [
    query("from", INSTANT, "RFC 3339 with an offset", required=True),
    query("to", INSTANT, "RFC 3339 with an offset", required=True),
    query("on", {"type": "string", "enum": [RECORDED_AT, EFFECTIVE_AT]}, "recorded_at when absent"),
    _ACCOUNT, LIMIT, _AFTER, MIN_POSITION,
]  # fmt: skip


class BooksView(ApiView):
    @read("get_books", BooksAnswer, tag="books", parameters=_BOOKS_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """Every balance and the trial balance, as of the bounds that are given; as of now without any."""
        position = parameters.number(request, "position", -1)
        cut = Cut(
            recorded_at=parameters.instant(request, RECORDED_AT),
            effective_at=parameters.instant(request, EFFECTIVE_AT),
            position=None if position < 0 else position,
            account_id=_account_id(request),
        )
        limit, after = parameters.limit(request), parameters.text(request, "after")
        # With everything that the journal holds at this moment, as far as that comes within a moment.
        head = await in_thread(ledger.head_position)
        books = await reached(request, lambda: time_travel.books(cut, after, limit), at_least=head)
        return answer(_books_json(books, limit), position=books.position)


class BooksDifferenceView(ApiView):
    @read("get_books_difference", BooksDifferenceAnswer, tag="books", parameters=_DIFFERENCE_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """The accounts whose balances differ between two instants, with both balances."""
        instants = parameters.required_instant(request, "from"), parameters.required_instant(request, "to")
        on = parameters.choice(request, "on", (RECORDED_AT, EFFECTIVE_AT)) or RECORDED_AT
        account_id = _account_id(request)
        limit, after = parameters.limit(request), parameters.text(request, "after")
        first, second = (
            Cut(**{on: instant}, account_id=account_id)  # type: ignore[arg-type]  # mypy takes `on` for any field
            for instant in instants
        )
        head = await in_thread(ledger.head_position)
        found = await reached(request, lambda: time_travel.difference(first, second, after, limit), at_least=head)
        body = {"from": format_instant(instants[0]), "to": format_instant(instants[1]), "on": on}
        return answer({**body, **_difference_json(found, limit)}, position=found.position)


def _account_id(request: Request) -> str | None:
    account_id = parameters.text(request, "account_id")
    return None if account_id is None else fields.account_id(account_id)


def _books_json(books: Books, limit: int) -> dict[str, Any]:
    cut = books.cut
    return {
        RECORDED_AT: format_instant(cut.recorded_at) if cut.recorded_at else None,
        EFFECTIVE_AT: format_instant(cut.effective_at) if cut.effective_at else None,
        "position": books.at_position,
        "final": books.is_final,
        "balanced": all(total.accounts_minor + total.external_minor == 0 for total in books.totals),
        "currencies": [_total_json(total) for total in books.totals],
        "balances": [_balance_json(balance) for balance in books.balances],
        "next_after": books.balances[-1].account_id if len(books.balances) == limit else None,
    }


def _total_json(total: Total) -> dict[str, Any]:
    return {
        "currency": total.currency,
        "accounts": total.accounts,
        "accounts_total": format_minor(total.accounts_minor, total.currency),
        "external_total": format_minor(total.external_minor, total.currency),
        "difference": format_minor(total.accounts_minor + total.external_minor, total.currency),
    }


def _balance_json(balance: Balance) -> dict[str, str]:
    return {
        "account_id": balance.account_id,
        "balance": format_minor(balance.balance_minor, balance.currency),
        "currency": balance.currency,
    }


def _difference_json(found: Difference, limit: int) -> dict[str, Any]:
    return {
        "final": found.is_final,
        "total": found.total,
        "changes": [_change_json(change) for change in found.changes],
        "next_after": found.changes[-1].account_id if len(found.changes) == limit else None,
    }


def _change_json(change: Change) -> dict[str, str]:
    return {
        "account_id": change.account_id,
        "currency": change.currency,
        "before": format_minor(change.before_minor, change.currency),
        "after": format_minor(change.after_minor, change.currency),
        "change": format_minor(change.after_minor - change.before_minor, change.currency),
    }
