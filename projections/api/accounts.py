"""Accounts and their statements, from the read model."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger.api import fields, parameters
from ledger.api.base import ApiView, answer
from ledger.api.schema import query, read
from ledger.api.waiting import MIN_POSITION
from ledger.domain.account import ACTIVE, CLOSED, FROZEN
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from projections import selectors
from projections.api.freshness import Asked, fresh, reached
from projections.api.schema import LIMIT, MIN_VERSION, AccountAnswer, AccountsAnswer, TransactionsAnswer
from projections.models import Account, Transaction
from projections.selectors import Found, Page

STATUSES = (ACTIVE, FROZEN, CLOSED)
NEWEST, OLDEST = "newest", "oldest"
_LIST_PARAMETERS = [
    LIMIT,
    query("after", str, "only accounts whose id comes after this one"),
    query("search", str, "part of the id or of the owner's name"),
    query("currency", str, "only accounts in this currency"),
    query("status", {"type": "string", "enum": list(STATUSES)}, "only accounts with this status"),
    MIN_POSITION,
]
_TRANSACTION_PARAMETERS = [
    LIMIT,
    query("after", int, "the position of the last line of the page before"),
    query("order", {"type": "string", "enum": [NEWEST, OLDEST]}, "newest first when absent"),
    MIN_VERSION,
    MIN_POSITION,
]


class AccountsView(ApiView):
    @read("list_accounts", AccountsAnswer, tag="accounts", parameters=_LIST_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """Accounts in the order of their ids."""
        limit = parameters.limit(request)
        filters = {name: parameters.text(request, name) for name in ("search", "currency")}
        filters["status"] = parameters.choice(request, "status", STATUSES)
        after = parameters.text(request, "after")
        page = await reached(request, lambda: selectors.accounts(limit, after, **filters))
        next_after = page.rows[-1].account_id if len(page.rows) == limit else None
        body = {"accounts": [account_json(row) for row in page.rows], "total": page.total, "next_after": next_after}
        return answer(body, position=page.position)


class AccountView(ApiView):
    @read("get_account", AccountAnswer, 404, tag="accounts", parameters=[MIN_VERSION, MIN_POSITION])
    async def get(self, request: Request, account_id: str) -> HttpResponse:
        """One account, with everything that was written to it before this request."""
        fields.account_id(account_id)
        asked = Asked.of(request)
        found = await fresh(
            account_id, asked, lambda: selectors.account(account_id), _version_of, lambda found: found.position
        )
        assert found.row is not None, "version 1 and later have a row"
        return answer(account_json(found.row), position=found.position)


class TransactionsView(ApiView):
    @read("list_transactions", TransactionsAnswer, 404, tag="accounts", parameters=_TRANSACTION_PARAMETERS)
    async def get(self, request: Request, account_id: str) -> HttpResponse:
        """The account's statement: one line for each event that moved money, with the balance it left."""
        fields.account_id(account_id)
        limit, after = parameters.limit(request), parameters.number(request, "after", -1)
        asked = Asked.of(request)
        is_newest_first = parameters.choice(request, "order", (NEWEST, OLDEST)) != OLDEST

        def look() -> tuple[Found[Account], Page[Transaction]]:
            line_after = None if after < 0 else after
            # The account first: the lines are then at least as new as what it says.
            account = selectors.account(account_id)
            return account, selectors.transactions(account_id, limit, line_after, is_newest_first=is_newest_first)

        _, page = await fresh(account_id, asked, look, _version_of_both, lambda found: found[1].position)
        next_after = page.rows[-1].position if len(page.rows) == limit else None
        lines = [_line_json(row) for row in page.rows]
        body = {"account_id": account_id, "transactions": lines, "total": page.total, "next_after": next_after}
        return answer(body, position=page.position)


def account_json(row: Account) -> dict[str, Any]:
    available_minor = row.balance_minor - row.held_minor + row.overdraft_limit_minor
    return {
        "account_id": row.account_id,
        "owner_name": row.owner_name,
        "balance": format_minor(row.balance_minor, row.currency),
        "available": format_minor(available_minor, row.currency),
        "held": format_minor(row.held_minor, row.currency),
        "overdraft_limit": format_minor(row.overdraft_limit_minor, row.currency),
        "currency": row.currency,
        "status": row.status,
        "version": row.version,
        "position": row.position,
        "opened_at": format_instant(row.opened_at),
        "updated_at": format_instant(row.updated_at),
    }


def _line_json(row: Transaction) -> dict[str, Any]:
    return {
        "event_id": str(row.event_id),
        "position": row.position,
        "version": row.version,
        "kind": row.kind,
        "amount": format_minor(row.amount_minor, row.currency),
        "balance": format_minor(row.balance_minor, row.currency),
        "currency": row.currency,
        "counter_account": row.counter_account,
        "transfer_id": row.transfer_id,
        "description": row.description,
        "recorded_at": format_instant(row.recorded_at),
        "effective_at": format_instant(row.effective_at),
    }


def _version_of(found: Found[Account]) -> int:
    return found.row.version if found.row is not None else 0


def _version_of_both(found: tuple[Found[Account], Page[Transaction]]) -> int:
    """The account's version, unless the statement is of an older state than the account."""
    account, page = found
    return _version_of(account) if account.row is not None and page.position >= account.row.position else 0
