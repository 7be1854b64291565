"""The pages /admin/findings/…: mark something, and take a finding further. Its own page is the admin's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

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
            messages.success(request, "Marked.")
            return redirect(PAGE, finding.pk)
    context: dict[str, Any] = {"given": given, "problem": problem, "kinds": KINDS, "states": Finding.State.choices,
               "note_length_max": NOTE_LENGTH_MAX}  # fmt: skip
    return render(request, "auditor/finding_new.html", "New finding", **context)


@only(may_oversee)
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, finding_id: int) -> HttpResponse:
    """Add a note and a state to a finding. What cannot be added comes back as it was written."""
    finding = Finding.objects.filter(pk=finding_id).first()
    if finding is None:
        raise Http404
    if request.method != "POST":
        return redirect(PAGE, finding.pk)
    given = {name: request.POST.get(name, "") for name in ("note", "state", "seen")}
    try:
        change_finding(request.user, finding, **given)
    except InvalidFinding as error:
        finding.refresh_from_db()
        its_page: Any = admin.site.get_model_admin(Finding)
        shown = its_page.page_context(finding)
        title = shown.pop("title")
        return render(request, "auditor/finding_change.html", title, given=given, problem=error, **shown)
    return redirect(PAGE, finding.pk)


def urls(wrap: Any) -> list[URLPattern]:
    return [
        path("findings/new/", wrap(new), name="finding-new"),
        path("findings/<int:finding_id>/change/", wrap(change), name="finding-change"),
    ]
