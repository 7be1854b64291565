"""The dashboard's numbers, in the page itself: it is right without a script, and live with one."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from auditor.status import Status, read_status, recent_rates


def add_status(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the status to the dashboard's context; unfold calls this."""
    status = read_status()
    rates = [] if "event_store" in status.unavailable else recent_rates()
    return {**context, "status": status, "rates": rates, "alarms": alarms(status)}


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
