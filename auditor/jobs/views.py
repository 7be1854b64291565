"""Stopping a job, and the words in which its pages and its websocket speak of it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from auditor.jobs.start import end
from auditor.jobs.work import EXPORT, REBUILD, VERIFY
from auditor.models import Job
from auditor.pages import View, only
from auditor.permissions import OVERSEERS, READERS, USER_MANAGERS, may_manage_users, may_read
from chronicle.roles import Role
from ledger.domain.instants import format_instant

# Who may see a job's progress, by its kind; an export's only who started it.
SEEN_BY: dict[str, frozenset[Role]] = {VERIFY: READERS, REBUILD: USER_MANAGERS, EXPORT: OVERSEERS | READERS}
PAGE_BY_KIND = {VERIFY: "admin:integrity", REBUILD: "admin:operations", EXPORT: "admin:exports"}


def as_json(job: Job) -> dict[str, Any]:
    """Return what a page needs to show how far a job is."""
    return {
        "id": job.pk,
        "work": job.kind,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "is_good": job.is_good,
        "error": job.error,
        "started_at": format_instant(job.started_at),
        "ended_at": format_instant(job.ended_at) if job.ended_at else None,
    }


@only(may_read)
@require_POST
def stop(request: HttpRequest, job_id: int) -> HttpResponse:
    """End a job before its end: whoever started it may, and an administrator."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        raise Http404
    if job.started_by != request.user and not may_manage_users(request):
        raise PermissionDenied
    end(job.pk, Job.State.STOPPED, error=f"stopped by {request.user.get_username()}")
    return redirect(reverse(PAGE_BY_KIND[job.kind]))


def urls(wrap: Any) -> list[URLPattern]:
    def page(address: str, view: View, name: str) -> URLPattern:
        return path(address, wrap(view), name=name)

    return [page("jobs/<int:job_id>/stop/", stop, "job-stop")]
