"""A transfer's page: where its money went, step by step, and how long each step took.

A step is one command, whose events happened together or not at all. So a movement between two accounts is one
step, and a transfer in steps, or a hold, is several: what was reserved, then taken, or set free again. What a step
took back from an earlier one is marked as that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from auditor import access_log, sql
from auditor.admin.formats import (
    account_link,
    anchor,
    badge,
    event_badge,
    event_money,
    instant,
    link,
    money,
    status_badge,
    travel_url,
)
from auditor.pages import render
from auditor.past.frame import not_found, reads_the_stores
from auditor.shortcuts import shortcuts
from ledger.domain.account import AGGREGATE_TYPE
from ledger.store.connection import connection, translated
from ledger.subjects.texts import open_all
from projections import selectors
from projections.models import Transfer

EVENTS_MAX = 500  # a transfer has two to five; one to many accounts has more
FAILED = "failed"
# What an event is within a transfer, in a word.
PARTS = {
    "TransferStarted": "started",
    "FundsHeld": "reserved",
    "HoldCaptured": "taken",
    "MoneyWithdrawn": "taken",
    "MoneyDeposited": "given",
    "HoldReleased": "set free",
    "TransferCompleted": "completed",
    "TransferFailed": "failed",
}


class Placed(NamedTuple):
    """An event with its place in the journal, in the order of `sql.EVENTS_WITH_PLACES`."""

    event_id: UUID
    aggregate_type: str
    aggregate_id: str
    version: int
    event_type: str
    data: dict[str, Any]
    state: dict[str, Any]
    metadata: dict[str, Any]
    recorded_at: datetime
    position: int | None
    sequenced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """The events of one command. `after`: the time since the step before; `ordering`: until the journal had it."""

    at: Any
    after: timedelta | None
    ordering: timedelta | None
    actor: str
    is_compensation: bool
    events: list[dict[str, Any]]

    @property
    def after_ms(self) -> int | None:
        return _milliseconds(self.after)

    @property
    def ordering_ms(self) -> int | None:
        return _milliseconds(self.ordering)


@reads_the_stores
def transfer(request: HttpRequest, transfer_id: str) -> HttpResponse:
    """Show a transfer and the timeline of its events."""
    row = selectors.transfer(transfer_id).row
    if row is None:
        return not_found(request, "transfer", transfer_id, "projections_transfer_changelist")
    access_log.record(request.user, access_log.TRANSFER, transfer_id, request.get_full_path())
    placed = _events(row)
    steps = _steps(row, placed)
    context: dict[str, Any] = {
        "transfer_id": transfer_id,
        "related": shortcuts(request, access_log.TRANSFER, transfer_id),
        "kind": badge(row.kind.replace("_", " ")),
        "state": status_badge(row.status),
        "source": account_link(row.from_account_id),
        "target": account_link(row.to_account_id),
        "amount": money(row.amount_minor, row.currency),
        "moved": money(row.moved_minor, row.currency) if row.moved_minor != row.amount_minor else None,
        "description": row.description,
        "expires_at": instant(row.expires_at) if row.expires_at else None,
        "took_ms": _milliseconds(placed[-1].recorded_at - placed[0].recorded_at) if len(steps) > 1 else None,
        "failure": _failure(row, placed),
        "whereabouts": _whereabouts(row),
        "steps": steps,
        "is_cut": len(row.events) > EVENTS_MAX,
        "events_max": EVENTS_MAX,
    }
    return render(request, "auditor/transfer.html", "Transfer", **context)


def _events(row: Transfer) -> list[Placed]:
    """Return the transfer's events in the order in which they happened."""
    order = {UUID(event["event_id"]): index for index, event in enumerate(row.events[:EVENTS_MAX])}
    with connection() as conn, translated():
        rows = conn.execute(sql.EVENTS_WITH_PLACES, {"event_ids": list(order)}).fetchall()
    return sorted((Placed(*found) for found in rows), key=lambda event: order[event.event_id])


def _steps(row: Transfer, placed: list[Placed]) -> list[Step]:
    steps: list[Step] = []
    before: datetime | None = None
    for _, group in groupby(placed, key=lambda event: event.metadata["command_id"]):
        events = list(group)
        first, last = events[0], events[-1]
        steps.append(
            Step(
                at=instant(first.recorded_at),
                after=None if before is None else first.recorded_at - before,
                ordering=None if last.sequenced_at is None else last.sequenced_at - first.recorded_at,
                actor=first.metadata.get("actor", ""),
                is_compensation=any(_takes_back(row, event) for event in events),
                events=[_event(event) for event in events],
            )
        )
        before = first.recorded_at
    return steps


def _takes_back(row: Transfer, event: Placed) -> bool:
    """Return whether an event undoes what an earlier step did: a reversal, or what a failed transfer set free."""
    return bool(event.data.get("reverses")) or (row.status == FAILED and event.event_type == "HoldReleased")


def _event(event: Placed) -> dict[str, Any]:
    is_account = event.aggregate_type == AGGREGATE_TYPE
    return {
        "type": event_badge(event.event_type),
        "part": PARTS.get(event.event_type, ""),
        "account": account_link(event.aggregate_id) if is_account else "",
        "amount": event_money(event.event_type, event.data, event.state),
        "balance": money(event.state["balance_minor"], event.state["currency"]) if is_account else None,
        "links": [
            link("ledger_event_change", event.event_id, "Event"),
            link("ledger_journalentry_change", event.position, f"Position {event.position}") if event.position else "",
            anchor(travel_url(event.aggregate_id, event.version), "Account at this moment") if is_account else "",
        ],
    }


# Where a transfer's money is, by its state: what stands for {source} and {target} leads to them.
WHEREABOUTS = {
    "started": "It is still with {source}, reserved there, until the transfer completes or fails.",
    "completed": "It has arrived at {target}.",
    "failed": "It stayed with {source}, and what was reserved there is free again.",
    "reversed": "It was taken back: {source} has it again.",
    "held": "It is reserved on {source}, and nobody has it yet.",
    "captured": "What was captured has gone to {target}; what was not is free again on {source}.",
    "released": "It is free again on {source}.",
    "expired": "Its time is over, and it is free again on {source}.",
}


def _whereabouts(row: Transfer) -> str:
    """Return where the money is, in a sentence."""
    said = WHEREABOUTS.get(row.status)
    if said is None:
        return ""
    return format_html(said, source=account_link(row.from_account_id), target=account_link(row.to_account_id))


def _failure(row: Transfer, placed: list[Placed]) -> str:
    """Return why a transfer failed, in the words of its own event."""
    data = open_all([event.data for event in placed if event.event_type == "TransferFailed"])
    return str(data[0].get("reason", "")) if data and row.status == FAILED else ""


def _milliseconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span / timedelta(milliseconds=1))
