"""The pages /admin/integrity/…: verify, prove, take away, compare."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from auditor import access_log
from auditor.admin.formats import badge
from auditor.integrity import evidence, proof
from auditor.integrity.compare import NOTE_LENGTH_MAX, compare
from auditor.integrity.trust import current_vkey
from auditor.jobs.history import BY, STARTED_AT, Column, history, number, opens, state
from auditor.jobs.start import AlreadyRunning, note_silent, start
from auditor.jobs.work import VERIFY
from auditor.models import Job
from auditor.pages import only, render, text_of
from auditor.permissions import may_manage_users, may_oversee, may_read
from ledger.errors import LedgerError
from ledger.store import tree_heads
from ledger.store.connection import connection

RUNS_SHOWN = 20


def _verdict(run: Job) -> Any:
    if run.state != Job.State.DONE:
        return state(run)
    return badge("No fault", "good") if run.is_good else badge("Faults", "danger")


RUN_COLUMNS = (
    opens("Run", lambda run: reverse("admin:integrity-run", args=[run.pk])),
    Column("Verdict", _verdict),
    STARTED_AT,
    BY,
    number("Events", lambda run: run.done),
    number("Faults", lambda run: run.result.get("fault_count")),
    number("Took", lambda run: run.result.get("seconds"), "s"),
)


@only(may_read)
@require_safe
def integrity(request: HttpRequest) -> HttpResponse:
    """Show how the last verification went, the runs before it, the current head, and what can be looked up."""
    note_silent(VERIFY)
    runs = list(Job.objects.filter(kind=VERIFY).select_related("started_by").order_by("-pk")[:RUNS_SHOWN])
    running = next((run for run in runs if run.is_running), None)
    ended = [run for run in runs if not run.is_running]
    context: dict[str, Any] = {
        "running": running,
        "last": next(iter(ended), None),
        "history": history(ended, RUN_COLUMNS),
        "may_verify": may_oversee(request),
        "may_stop": running is not None and (running.started_by == request.user or may_manage_users(request)),
        **_head(),
    }
    return render(request, "auditor/integrity.html", "Integrity", **context)


def _head() -> dict[str, Any]:
    """Return the current signed head and the log's key, or why there is none; the page opens all the same."""
    try:
        with connection() as conn:
            head = tree_heads.last(conn)
        return {"head": head, "vkey": current_vkey()}
    except LedgerError as error:
        return {"head_problem": str(error)}


@only(may_oversee)
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Start a verification, unless one runs."""
    try:
        start(VERIFY, request.user, options={"semantic": "semantic" in request.POST})
    except AlreadyRunning as error:
        messages.error(request, f"Not started: a verification {str(error).partition(' ')[2]}.")
    return redirect("admin:integrity")


@only(may_read)
@require_safe
def run(request: HttpRequest, job_id: int) -> HttpResponse:
    """Show what one verification saw."""
    job = Job.objects.filter(kind=VERIFY, pk=job_id).select_related("started_by").first()
    if job is None:
        return _not_found(request, "There is no such run.")
    return render(request, "auditor/integrity_run.html", f"Verification {job.pk}", run=job)


@only(may_read)
@require_safe
def event(request: HttpRequest) -> HttpResponse:
    """Show the inclusion proof of one event, by its id or position."""
    named = text_of(request, "event")
    if not named:
        return redirect("admin:integrity")
    try:
        position = proof.position_named(named)
        drawn = proof.draw(position)
    except LedgerError as error:
        context: dict[str, Any] = {"problem": error.detail, "code": error.code, "named": named}
        return render(request, "auditor/proof.html", "Proof of inclusion", status=error.status, **context)
    recorded = drawn.sequenced.event
    access_log.record(request.user, access_log.EVENT, str(recorded.event_id), request.get_full_path())
    return render(request, "auditor/proof.html", f"Proof of position {position:,}", drawn=drawn, event=recorded)


@only(may_read)
@require_safe
def bundle(request: HttpRequest) -> HttpResponseBase:
    """Send the evidence bundle of an event or an account."""
    named, account_id = text_of(request, "event"), text_of(request, "account")
    try:
        if account_id:
            access_log.record(request.user, access_log.ACCOUNT, account_id, request.get_full_path())
            return evidence.of_account(account_id)
        position = proof.position_named(named)
        event_id = proof.event_id_at(position)
        access_log.record(request.user, access_log.EVENT, str(event_id), request.get_full_path())
        return evidence.of_event(event_id)
    except LedgerError as error:
        context: dict[str, Any] = {"problem": error.detail, "code": error.code, "named": account_id or named}
        return render(request, "auditor/proof.html", "Evidence", status=error.status, **context)


@only(may_read)
@require_safe
def comparison(request: HttpRequest) -> HttpResponse:
    """Compare a head that the auditor has kept with the current one."""
    # In the address, so that what was compared can be shown to somebody else. Heads are public.
    pasted = request.GET.get("head", "")
    if not pasted.strip():
        return redirect("admin:integrity")
    if len(pasted) > NOTE_LENGTH_MAX:
        return _not_found(request, f"A tree head has at most {NOTE_LENGTH_MAX:,} characters.", status=400)
    try:
        found = compare(pasted)
    except LedgerError as error:
        return _not_found(request, error.detail, status=error.status)
    return render(request, "auditor/comparison.html", "Tree head compared", found=found, pasted=pasted)


def _not_found(request: HttpRequest, problem: str, status: int = 404) -> HttpResponse:
    return render(request, "auditor/problem.html", "Integrity", status=status, problem=problem)


def urls(wrap: Any) -> list[URLPattern]:
    return [
        path("integrity/", wrap(integrity), name="integrity"),
        path("integrity/verify/", wrap(verify), name="integrity-verify"),
        path("integrity/runs/<int:job_id>/", wrap(run), name="integrity-run"),
        path("integrity/event/", wrap(event), name="integrity-event"),
        path("integrity/evidence/", wrap(bundle), name="integrity-evidence"),
        path("integrity/compare/", wrap(comparison), name="integrity-compare"),
    ]
