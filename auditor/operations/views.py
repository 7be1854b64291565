"""The page /admin/operations/ and what its buttons do. Parked events are retried by the action of their own list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.views.decorators.http import require_POST, require_safe

from auditor.jobs.history import BY, STARTED_AT, TEXT, Column, history, number, state
from auditor.jobs.start import AlreadyRunning, note_silent, start
from auditor.jobs.work import REBUILD
from auditor.models import Job
from auditor.pages import only, render
from auditor.permissions import may_repair
from ledger.errors import LedgerError
from projections import overview
from projections.models import ParkedEvent
from projections.overview import Standing
from projections.projection import by_name, registry

JOBS_SHOWN = 15
PARKED_SHOWN = 50
REBUILD_COLUMNS = (
    Column("Projection", lambda job: job.subject),
    Column("End", lambda job: format_html("{} {}", state(job), job.error), TEXT),
    STARTED_AT,
    BY,
    number("Switched at position", lambda job: job.result.get("position")),
)


@dataclass(frozen=True, slots=True)
class Parked:
    """What waits in one projection; `events` are the first of those that are a cause."""

    projection: str
    count: int
    first_id: int
    events: list[ParkedEvent]


@only(may_repair)
@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """Show every projection, what is being rebuilt, and what waits for a person."""
    for projection in registry():
        note_silent(REBUILD, projection.name)
    jobs = list(Job.objects.filter(kind=REBUILD).select_related("started_by").order_by("-pk")[:JOBS_SHOWN])
    running = {job.subject: job for job in jobs if job.is_running}
    context: dict[str, Any] = {"history": history([job for job in jobs if not job.is_running], REBUILD_COLUMNS)}
    try:
        seen = overview.read()
        context["standings"] = [(standing, running.get(standing.projection)) for standing in seen.projections]
        context["parked"] = [_parked(standing) for standing in seen.projections if standing.parked]
    except (LedgerError, DatabaseError) as error:
        context["problem"] = str(error) if isinstance(error, LedgerError) else "The read model does not answer."
    return render(request, "auditor/operations.html", "Operations", **context)


def _parked(standing: Standing) -> Parked:
    events = ParkedEvent.objects.filter(projection=standing.projection).order_by("position")
    causes = list(events.filter(is_cause=True)[:PARKED_SHOWN])
    return Parked(standing.projection, standing.parked, events.values_list("pk", flat=True)[0], causes)


@only(may_repair)
@require_POST
def rebuild(request: HttpRequest, name: str) -> HttpResponse:
    """Start building a projection again beside the live one, unless that is under way."""
    try:
        by_name(name)
    except LookupError as error:
        raise Http404 from error
    try:
        start(REBUILD, request.user, subject=name)
    except AlreadyRunning as error:
        messages.error(request, f"Not started: a {error}.")
    return redirect("admin:operations")


def urls(wrap: Any) -> list[URLPattern]:
    return [
        path("operations/", wrap(operations), name="operations"),
        path("operations/rebuild/<str:name>/", wrap(rebuild), name="operations-rebuild"),
    ]
