"""The pages /admin/findings/…: mark something, and take a finding further. Its own page is the admin's."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_POST

from auditor.findings.record import KINDS, NOTE_LENGTH_MAX, InvalidFinding, change_finding, open_finding
from auditor.models import Finding
from auditor.pages import only, render
from auditor.permissions import may_oversee

PAGE = "admin:auditor_finding_change"


@only(may_oversee)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Mark an account or an event."""
    given = {name: (request.POST or request.GET).get(name, "").strip() for name in ("kind", "subject", "note", "state")}
    problem = None
    if request.method == "POST":
        try:
            state = given["state"] or Finding.State.OPEN
            finding = open_finding(request.user, given["kind"], given["subject"], given["note"], state)
        except InvalidFinding as error:
            problem = error
        else:
            messages.success(request, "The finding is saved.")
            return redirect(PAGE, finding.pk)
    context: dict[str, Any] = {"given": given, "problem": problem, "kinds": KINDS, "states": Finding.State.choices,
               "note_length_max": NOTE_LENGTH_MAX}  # fmt: skip
    return render(request, "auditor/finding_new.html", "New finding", **context)


@only(may_oversee)
@require_POST
def change(request: HttpRequest, finding_id: int) -> HttpResponse:
    """Add a note and a state to a finding."""
    finding = Finding.objects.filter(pk=finding_id).first()
    if finding is None:
        raise Http404
    try:
        change_finding(request.user, finding, request.POST.get("note", ""), request.POST.get("state", ""))
    except InvalidFinding as error:
        messages.error(request, str(error))
    return redirect(PAGE, finding.pk)


def urls(wrap: Any) -> list[URLPattern]:
    return [
        path("findings/new/", wrap(new), name="finding-new"),
        path("findings/<int:finding_id>/change/", wrap(change), name="finding-change"),
    ]
