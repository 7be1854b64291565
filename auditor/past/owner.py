"""Whose an account is: all accounts of its owner, and what moved on all of them together in a period.

The address names an account and never a person, so that nothing that an erasure would have to find is left in it. A
period is turned into two places for each account, by its own index of time, so the lines before and after cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db import connections
from django.http import HttpRequest, HttpResponse

from auditor import access_log, sql
from auditor.admin.composite import FOUND_MAX, containing
from auditor.admin.formats import NOTHING, account_link, anchor, badge, instant, link, money, status_badge, travel_url
from auditor.pages import render, text_of
from auditor.past.frame import not_found, reads_the_stores
from auditor.past.instants import InstantField
from ledger.store.connection import connection, translated
from projections import selectors
from projections.erasures import ERASED
from projections.models import Account, SearchEntry
from projections.search import ACCOUNT

LINES = 50
ACCOUNTS_SHOWN = 100  # of at most FOUND_MAX: what moved, and the export, are of all of them
POSITION_MAX = 2**63 - 1
EARLIEST, LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class PeriodForm(forms.Form):
    """From an instant on, before another. `before`: the position of the last line of the page before."""

    since = InstantField(required=False)
    until = InstantField(required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=POSITION_MAX)


@dataclass(frozen=True, slots=True)
class Places:
    """Where each account's part of a period begins and ends in the journal; an account without one is left out."""

    account_ids: list[str]
    firsts: list[int]
    lasts: list[int]


def accounts_of_owner_of(account_id: str) -> list[Account]:
    """Return every account whose owner is called as this one's, this one alone when its owner was erased."""
    own = selectors.account(account_id).row
    if own is None:
        return []
    if own.owner_name in ("", ERASED):
        return [own]
    named = containing(SearchEntry.objects.filter(kind=ACCOUNT), own.owner_name)
    ids = [account_id, *named.values_list("reference", flat=True)[:FOUND_MAX]]
    return list(Account.objects.filter(account_id__in=ids, owner_name=own.owner_name).order_by("account_id"))


def places(account_ids: list[str], since: datetime | None, until: datetime | None) -> Places:
    """Raises: StoreUnavailable."""
    period = {"since": since or EARLIEST, "until": until or LATEST}
    with connection() as conn, translated():
        rows = conn.execute(sql.PLACES_IN_PERIOD, {"account_ids": account_ids, **period}).fetchall()
    found = sorted(row for row in rows if row[1] <= row[2])
    return Places([row[0] for row in found], [row[1] for row in found], [row[2] for row in found])


def lines(where: Places, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return the newest lines in these places, below a position."""
    bounds: dict[str, Any] = {"account_ids": where.account_ids, "firsts": where.firsts, "lasts": where.lasts}
    with connections[selectors.ALIAS].cursor() as cursor:
        cursor.execute(sql.LINES_OF_ACCOUNTS, {**bounds, "before": before or POSITION_MAX, "limit": limit})
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@reads_the_stores
def owner(request: HttpRequest) -> HttpResponse:
    """Show the accounts of an account's owner, and their movements in a period."""
    account_id = text_of(request, "account_id")
    accounts = accounts_of_owner_of(account_id)
    if not accounts:
        return not_found(request, "account", account_id, "projections_account_changelist")
    form = PeriodForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    ids = [account.account_id for account in accounts]
    is_further = bool(wanted.get("before"))
    access_log.record_each(request.user, access_log.ACCOUNT, ids, request.get_full_path(), is_further=is_further)
    found: list[dict[str, Any]] = []
    if form.is_valid():
        where = places(ids, wanted["since"], wanted["until"])
        found = lines(where, wanted["before"], LINES + 1)
    given = {name: request.GET[name] for name in ("since", "until") if request.GET.get(name)}
    query = urlencode({"account_id": account_id, **given})
    context: dict[str, Any] = {
        "account_id": account_id,
        "count": len(accounts),
        "accounts": [_account(account) for account in accounts[:ACCOUNTS_SHOWN]],
        "is_cut": len(accounts) >= FOUND_MAX,
        "form": form,
        "is_narrowed": bool(given),
        "lines": [_line(line) for line in found[:LINES]],
        "next_url": f"?{query}&before={found[LINES - 1]['position']}#movements" if len(found) > LINES else "",
        "first_url": f"?{query}#movements" if wanted.get("before") else "",
        "export_query": f"list=owner&{query}",
    }
    return render(request, "auditor/owner.html", f"Owner: {accounts[0].owner_name}", **context)


def _account(account: Account) -> dict[str, Any]:
    return {
        "account": account_link(account.account_id),
        "balance": money(account.balance_minor, account.currency),
        "status": status_badge(account.status),
        "updated_at": instant(account.updated_at),
    }


def _line(line: dict[str, Any]) -> dict[str, Any]:
    travel = travel_url(line["account_id"], line["version"])
    transfer_id = line["transfer_id"]
    return {
        "at": instant(line["recorded_at"]),
        "account": account_link(line["account_id"]),
        "kind": badge(line["kind"].replace("_", " ")),
        "counter_account": account_link(line["counter_account"]),
        "description": line["description"] or NOTHING,
        "amount": money(line["amount_minor"], line["currency"], signed=True),
        "balance": money(line["balance_minor"], line["currency"]),
        "then": anchor(travel, "Then"),
        "event": link("ledger_event_change", line["event_id"], "Event"),
        "transfer": link("projections_transfer_change", transfer_id, "Transfer") if transfer_id else "",
    }
