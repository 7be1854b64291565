"""An account's page: what it holds, how that came about over time, what is reserved, and its statement.

What it holds comes from the event store, so it is never behind; the statement is the read model's and says when it
is. Every opening of the page is recorded as a look before it is shown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from auditor import access_log
from auditor.admin.formats import (
    NOTHING,
    account_link,
    anchor,
    badge,
    event_badge,
    event_money,
    instant,
    link,
    list_link,
    live_link,
    money,
    status_badge,
    travel_url,
)
from auditor.pages import render
from auditor.past.frame import not_found, reads_the_stores
from auditor.past.history import POINTS_MAX, balance_history
from auditor.past.instants import microseconds
from auditor.past.life import Life, life_of, positions_of
from auditor.past.statement import LINES, SCANNED_MAX, Statement, StatementForm, read_statement
from auditor.shortcuts import shortcuts
from ledger.api.parameters import uuid_or_none
from ledger.domain.account import Account
from ledger.domain.currencies import decimals_of
from ledger.domain.events import TRANSFER
from ledger.domain.instants import parse_instant
from ledger.store.recorded import event_id_of
from projections.models import Transaction
from projections.selectors import checkpoint_position


@reads_the_stores
def account(request: HttpRequest, account_id: str) -> HttpResponse:
    """Show an account, and the lines of its statement that are asked for."""
    life = life_of(account_id)
    if life is None:
        return not_found(request, "account", account_id, "projections_account_changelist")
    form = StatementForm(request.GET)
    record = access_log.record_once if request.GET.get("before") else access_log.record
    record(request.user, access_log.ACCOUNT, account_id, request.get_full_path())
    state = life.state
    statement = read_statement(account_id, state.currency, form.cleaned_data) if form.is_valid() else None
    points = balance_history(account_id, life.first.recorded_at, life.last.recorded_at, life.versions)
    context: dict[str, Any] = {
        "account_id": account_id,
        "owner_name": state.owner_name,
        "related": [*_related(account_id), *shortcuts(request, access_log.ACCOUNT, account_id)],
        "summary": summary(state),
        "life": life,
        "opened_at": instant(life.first.recorded_at),
        "last_event_at": instant(life.last.recorded_at),
        "last_change": _last_change(life),
        "chart": chart(life, [point.as_json() for point in points]),
        "is_sampled": life.versions > POINTS_MAX,
        "holds": _holds(state),
        "form": form,
        "lines": [_line(line) for line in statement.lines] if statement else [],
        "statement": statement,
        "lines_max": LINES,
        "scanned_max": SCANNED_MAX,
        "next_url": _next_url(request, statement),
        "first_url": _url(request, before=None) if request.GET.get("before") else "",
        "behind": _is_behind(life),
        "export_query": _export_query(request, account_id),
    }
    return render(request, "auditor/account.html", f"Account {account_id}", **context)


def summary(state: Account) -> dict[str, Any]:
    """Return an account's state as a page's cards show it."""
    return {
        "balance": money(state.balance_minor, state.currency),
        "available": money(state.available_minor, state.currency),
        "held": money(state.held_minor, state.currency),
        "overdraft": money(state.overdraft_limit_minor, state.currency) if state.overdraft_limit_minor else None,
        "status": status_badge(state.status),
    }


def chart(life: Life, points: list[tuple[int, int, int]]) -> dict[str, Any]:
    """Return what static/ledger/balance_chart.js draws. `travel`: where a click on the line leads."""
    currency = life.state.currency
    return {
        "points": points,
        "first": microseconds(life.first.recorded_at),
        "last": microseconds(life.end),
        "currency": currency,
        "decimals": decimals_of(currency),
        "travel": travel_url(life.account_id),
    }


def _last_change(life: Life) -> dict[str, Any]:
    """Return what made the account what it is: the last event, whose it was, and where it is explained."""
    last = life.last
    return {
        "type": event_badge(last.event_type),
        "amount": event_money(last.event_type, last.data, last.state),
        "actor": last.metadata.get("actor", ""),
        "links": [
            anchor(travel_url(life.account_id, last.version), "What it changed"),
            link("ledger_event_change", last.event_id, "Event"),
        ],
    }


def _related(account_id: str) -> list[Any]:
    return [
        anchor(travel_url(account_id), "Time travel"),
        anchor(f"{reverse('admin:owner')}?{urlencode({'account_id': account_id})}", "All of this owner"),
        list_link("projections_transfer", "Transfers out", from_account_id=account_id),
        list_link("projections_transfer", "Transfers in", to_account_id=account_id),
        list_link("ledger_event", "Events", aggregate_id=account_id),
        list_link("ledger_journalentry", "Journal entries", aggregate_id=account_id),
        list_link("projections_transaction", "Transactions", account_id=account_id),
        live_link(account_id),
    ]


def _holds(state: Account) -> list[dict[str, Any]]:
    """Return the open holds, the next to expire first. One is known by the command that placed it."""
    now = timezone.now()
    found = []
    for hold_id, hold in sorted(state.holds.items(), key=lambda item: (item[1]["expires_at"] or "9", item[0])):
        expires_at = parse_instant(hold["expires_at"]) if hold["expires_at"] else None
        is_of_transfer = hold_id.startswith(TRANSFER)
        transfer_id = hold_id.removeprefix(TRANSFER)
        command_id: UUID | None = uuid_or_none(transfer_id)
        # A transfer in steps is started by its first event, and reserves with its second.
        event_id = event_id_of(command_id, int(is_of_transfer)) if command_id else None
        found.append(
            {
                "transfer": link("projections_transfer_change", transfer_id),
                "kind": badge("transfer in steps" if is_of_transfer else "hold"),
                "event": link("ledger_event_change", event_id, "Event") if event_id else "",
                "amount": money(hold["amount_minor"], state.currency),
                "expires_at": instant(expires_at),
                "is_expired": expires_at is not None and expires_at <= now,
            }
        )
    return found


def _line(line: Transaction) -> dict[str, Any]:
    return {
        "position": link("ledger_journalentry_change", line.position),
        "at": instant(line.recorded_at),
        "effective_at": instant(line.effective_at) if line.effective_at != line.recorded_at else None,
        "kind": badge(line.kind.replace("_", " ")),
        "counter_account": account_link(line.counter_account),
        "description": line.description or NOTHING,
        "amount": money(line.amount_minor, line.currency, signed=True),
        "balance": money(line.balance_minor, line.currency),
        "event": link("ledger_event_change", line.event_id, "Event"),
        "transfer": link("projections_transfer_change", line.transfer_id, "Transfer") if line.transfer_id else "",
        "travel": travel_url(line.account_id, line.version),
    }


def _is_behind(life: Life) -> bool:
    """Return whether the read model has not come to the account's last event yet."""
    position = positions_of(life.account_id, [life.versions]).get(life.versions)
    return position is None or checkpoint_position("transactions") < position


def _next_url(request: HttpRequest, statement: Statement | None) -> str:
    return _url(request, before=statement.next_before) if statement and statement.next_before else ""


def _export_query(request: HttpRequest, account_id: str) -> str:
    """Return what leads to the export of the statement as it is narrowed."""
    narrowed = {name: request.GET[name] for name in StatementForm.base_fields if request.GET.get(name)}
    narrowed.pop("before", None)
    return urlencode({"list": "statement", "account_id": account_id, **narrowed})


def _url(request: HttpRequest, before: int | None) -> str:
    query = request.GET.copy()
    query.pop("before", None)
    if before is not None:
        query["before"] = str(before)
    return f"?{query.urlencode()}#statement"
