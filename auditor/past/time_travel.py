"""The time-travel debugger: one account at one instant, what made it so, and what came next.

The address says what is on the screen: `?at=` an instant, by recorded_at, or `?version=` an event. The server
renders it; static/ledger/time_travel.js asks for the same page's part while the slider moves. A step is a fixed
number of index probes, whatever the account's length.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from auditor import access_log
from auditor.admin.formats import anchor, event_badge, event_money, instant, link
from auditor.pages import render
from auditor.past.account import chart, summary
from auditor.past.differences import field_differences
from auditor.past.frame import not_found, part, reads_the_stores
from auditor.past.history import balance_history
from auditor.past.instants import HELP, MICROSECOND, InstantField, in_words, microseconds
from auditor.past.life import Life, life_of, positions_of
from ledger.domain.account import from_state
from ledger.domain.instants import format_instant
from ledger.store.recorded import RecordedEvent
from projections.steps import Step, step_at, step_to


class TravelForm(forms.Form):
    at = InstantField(required=False)
    version = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the page stands: an instant, and the step there."""

    at: datetime
    step: Step

    @property
    def version(self) -> int:
        return self.step.event.version if self.step.event else 0


@reads_the_stores
def time_travel(request: HttpRequest, account_id: str) -> HttpResponse:
    """Show an account as it was; with `part=step`, only the piece of the page that a step changes."""
    life = life_of(account_id)
    if life is None:
        return not_found(request, "account", account_id, "projections_account_changelist")
    is_part = request.GET.get("part") == "step"
    record = access_log.record_once if is_part else access_log.record
    record(request.user, access_log.ACCOUNT, account_id, request.get_full_path())
    form = TravelForm(request.GET)
    if is_part and not form.is_valid():
        return HttpResponse(HELP, status=400, content_type="text/plain; charset=utf-8")
    place = _place(life, form.cleaned_data if form.is_valid() else {})
    context = {"form": form, **_step_context(life, place)}
    if is_part:
        return part(request, "auditor/time_travel_step.html", **context)
    points = balance_history(account_id, life.first.recorded_at, life.last.recorded_at, life.versions)
    context |= {
        "account_id": account_id,
        "owner_name": life.state.owner_name,
        "chart": chart(life, [point.as_json() for point in points]),
        "related": _related(account_id),
    }
    return render(request, "auditor/time_travel.html", f"Time travel: {account_id}", **context)


def _place(life: Life, wanted: dict[str, Any]) -> Place:
    """Return where the address leads; without one that means something, to the account's last event."""
    if wanted.get("at"):
        return Place(wanted["at"], step_at(life.account_id, wanted["at"]))
    version = life.versions if wanted.get("version") is None else min(wanted["version"], life.versions)
    if version == 0:
        before = life.first.recorded_at - MICROSECOND
        return Place(before, step_at(life.account_id, before))
    step = step_to(life.account_id, version)
    assert step.event is not None, "versions are gapless"
    return Place(step.event.recorded_at, step)


def _step_context(life: Life, place: Place) -> dict[str, Any]:
    step = place.step
    shown = [event for event in (step.before, step.event, step.after) if event]
    positions = positions_of(life.account_id, [event.version for event in shown])
    state = step.event.state if step.event else None
    return {
        "at": format_instant(place.at),
        "said_at": in_words(place.at),
        "version": place.version,
        "versions": life.versions,
        "is_final": step.is_final,
        "summary": summary(from_state(state)) if state else None,
        "events": [
            ("before", "Event before", _event(step.before, positions)),
            ("this", "The event that made it so", _event(step.event, positions)),
            ("after", "Event after", _event(step.after, positions)),
        ],
        "changes": field_differences(step.before.state if step.before else None, state) if state else [],
        "next_changes": field_differences(state, step.after.state) if step.after else [],
        "slider": {
            "first": microseconds(life.first.recorded_at),
            "last": microseconds(life.end),
            "at": microseconds(place.at),
        },
    }


def _event(event: RecordedEvent | None, positions: dict[int, int]) -> dict[str, Any] | None:
    if event is None:
        return None
    data = event.data
    position = positions.get(event.version)
    transfer_id = data.get("transfer_id")
    return {
        "version": event.version,
        "type": event_badge(event.event_type),
        "at": instant(event.recorded_at),
        "effective_at": instant(event.effective_at) if event.effective_at != event.recorded_at else None,
        "amount": event_money(event.event_type, data, event.state),
        "text": data.get("description") or data.get("reason") or "",
        "actor": event.metadata.get("actor", ""),
        "links": [
            link("ledger_event_change", event.event_id, "Event"),
            link("ledger_journalentry_change", position, f"Position {position}") if position else "",
            link("projections_transfer_change", transfer_id, "Transfer") if transfer_id else "",
        ],
    }


def _related(account_id: str) -> list[Any]:
    return [anchor(reverse("admin:projections_account_change", args=[quote(account_id)]), "The account's page")]
