"""The pages /admin/exports/…: choose a format, download, and watch the rows go."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from auditor import access_log
from auditor.exports.catalogue import names, narrowed_by, open_source, subjects
from auditor.exports.formats import WRITERS
from auditor.exports.source import NoSuchList
from auditor.exports.stream import BeingDownloaded, Stream, begin
from auditor.jobs.history import STARTED_AT, STATE, Column, history, number, opens
from auditor.jobs.work import EXPORT
from auditor.models import Job
from auditor.pages import only, render
from auditor.permissions import may_read

SHOWN = 20
EXPORT_COLUMNS = (
    opens("Export", lambda job: reverse("admin:export", args=[job.pk])),
    Column("List", lambda job: _name_of(job)),
    Column("Format", lambda job: WRITERS[job.options["format"]][0]),
    STATE,
    number("Rows", lambda job: job.done),
    STARTED_AT,
)


@only(may_read)
@require_safe
def exports(request: HttpRequest) -> HttpResponse:
    """List what this user has exported."""
    own = list(Job.objects.filter(kind=EXPORT, started_by=request.user.pk).order_by("-pk")[:SHOWN])
    return render(request, "auditor/exports.html", "Exports", history=history(own, EXPORT_COLUMNS))


@only(may_read)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Ask for the format, and put the export on record."""
    given = request.GET.copy()
    label = given.pop("list", [""])[-1]
    query = given.urlencode()
    try:
        open_source(request, label, query)
    except NoSuchList as error:
        return render(request, "auditor/problem.html", "Export", 400, problem=f"Not exported: {error}.")
    if request.method == "POST" and (format_ := request.POST.get("format", "")) in WRITERS:
        user: Any = request.user
        now = timezone.now()
        options = {"list": label, "query": query, "format": format_}
        job = Job.objects.create(
            kind=EXPORT, subject=uuid4().hex, options=options, state=Job.State.WAITING,
            started_by=user, started_at=now, heard_at=now,
        )  # fmt: skip
        return redirect("admin:export", job.pk)
    context: dict[str, Any] = {
        "name": names()[label],
        "narrowed_by": narrowed_by(query),
        "formats": [(key, name) for key, (name, _) in WRITERS.items()],
        "action": f"?{urlencode({'list': label})}&{query}",
    }
    return render(request, "auditor/export_new.html", f"Export: {names()[label]}", **context)


@only(may_read)
@require_safe
def export(request: HttpRequest, job_id: int) -> HttpResponse:
    """Show one export: where to get it, and how far it is."""
    job = _own(request, job_id)
    context: dict[str, Any] = {
        "job": job,
        "name": _name_of(job),
        "format": WRITERS[job.options["format"]][0],
        "narrowed_by": narrowed_by(job.options["query"]),
    }
    return render(request, "auditor/export.html", f"Export {job.pk}", **context)


@only(may_read)
@require_GET  # who asks for the head alone gets no rows, and must not count as somebody who broke off
def file(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """Send the file."""
    job = _own(request, job_id)
    label, query = job.options["list"], job.options["query"]
    where = request.get_full_path()
    try:
        # Asked anew: a role may be gone since.
        source = open_source(request, label, query)
        begin(job, source.count())
    except NoSuchList as error:
        return render(request, "auditor/problem.html", "Export", 400, problem=f"Not exported: {error}.")
    except BeingDownloaded:
        return render(
            request, "auditor/problem.html", "Export", 409, problem="This export is being downloaded already."
        )
    if seen := subjects(request, label, query):
        for kind, subject_id in seen:
            access_log.record(request.user, kind, subject_id, where)
    else:
        access_log.record(request.user, access_log.LIST, label, f"{where}?{query}" if query else where)
    writer = WRITERS[job.options["format"]][1](source.columns)
    response = StreamingHttpResponse(Stream(job, source, writer), content_type=writer.content_type)
    name = f"{label.rpartition('.')[2]}-{job.pk}.{writer.suffix}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _name_of(job: Job) -> str:
    """Return a list's name for people; a list that is gone since keeps the name it had."""
    label: str = job.options["list"]
    return names().get(label, label)


def _own(request: HttpRequest, job_id: int) -> Job:
    job = Job.objects.filter(kind=EXPORT, pk=job_id, started_by=request.user.pk).first()
    if job is None:
        raise Http404
    return job


def urls(wrap: Any) -> list[URLPattern]:
    return [
        path("exports/", wrap(exports), name="exports"),
        path("exports/new/", wrap(new), name="export-new"),
        path("exports/<int:job_id>/", wrap(export), name="export"),
        path("exports/<int:job_id>/file/", wrap(file), name="export-file"),
    ]
