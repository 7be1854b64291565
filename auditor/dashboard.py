"""The dashboard's numbers, in the page itself: it is right without a script, and live with one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from auditor.permissions import may_oversee
from auditor.status import Status, read_status, recent_rates


def add_status(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the status to the dashboard's context; unfold calls this."""
    status = read_status()
    rates = [] if "event_store" in status.unavailable else recent_rates()
    own = {"status": status, "rates": rates, "alarms": alarms(status), "questions": questions(request)}
    return {**context, **own}


def questions(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what people come here to ask, each with the address of the page that answers it."""
    asked = [
        ("Why is a balance what it is, and what was it then? Choose an account.", "projections_account_changelist", {}),
        ("Where is the money of a transfer that has not completed?", "projections_transfer_changelist",
         {"status": "started"}),
        ("Do the books balance, did they before, and what differs?", "books", {}),
        ("Was an event altered since, and how do I prove that it was not?", "integrity", {}),
        ("Which commands were refused: over which amount, when?", "ledger_refusal_changelist", {}),
        ("What was taken back by force, and why?", "reversals", {"forced": "on"}),
        ("What moved on all accounts of one owner? Choose one of them.", "projections_account_changelist", {}),
        ("Which events became visible too late?", "ledger_journalentry_changelist", {"is_late": "1"}),
    ]  # fmt: skip
    if may_oversee(request):
        asked += [
            ("What did we find so far?", "auditor_finding_changelist", {}),
            ("Who looked at what?", "auditor_accesslogentry_changelist", {}),
        ]
    return [(said, _address(page, query)) for said, page, query in asked]


def _address(page: str, query: dict[str, str]) -> str:
    address = reverse(f"admin:{page}")
    return f"{address}?{urlencode(query)}" if query else address


def alarms(status: Status) -> list[str]:
    """Return what is wrong, a sentence each. static/ledger/dashboard.js says the same."""
    stopped = [f"The projection {p.name} stands still: {p.alarm}" for p in status.projections if p.alarm]
    unproven = [
        f"The projection {p.name} is not what the journal says, at position {p.position}."
        for p in status.projections
        if p.is_proven is False and not p.alarm
    ]
    late = (
        [f"{status.late_events} events became visible too late: see the journal, by time."]
        if status.late_events
        else []
    )
    parked = [
        f"{p.parked} events wait in {p.name} for a person: see Parked events." for p in status.projections if p.parked
    ]
    return (
        stopped
        + unproven
        + late
        + parked
        + [f"The {name.replace('_', ' ')} does not answer." for name in status.unavailable]
    )
