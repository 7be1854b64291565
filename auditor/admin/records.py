"""What was done in the portal itself: long work that somebody started, and what administrators changed about users.

Django writes the second down with every change that its forms make; nobody can take a line of either back.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.filters import PlainDropdownFilter
from auditor.admin.formats import badge, column, instant_column, json_column
from auditor.admin.keyset import led_to
from auditor.jobs.work import EXPORT, REBUILD, VERIFY
from auditor.models import Job
from auditor.permissions import may_oversee

JOBS_BY_KIND = ("kind", "-id")
_NAMES = {VERIFY: "verification", REBUILD: "rebuild", EXPORT: "export"}
_ACTIONS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}
_TONE_BY_STATE: dict[str, str] = {Job.State.DONE: "good", Job.State.FAILED: "danger", Job.State.STOPPED: "warning"}


class JobKindFilter(PlainDropdownFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(_NAMES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return led_to(queryset, JOBS_BY_KIND, self.value()) if self.value() else queryset


def _about(job: Job) -> str:
    """Return what a job is of: the list of an export with how it was narrowed, the projection of a rebuild."""
    if job.kind != EXPORT:
        return job.subject or "the whole log"
    narrowed = f"?{job.options['query']}" if job.options["query"] else ""
    return f"{job.options['list']}{narrowed} as {job.options['format']}"


_state = column("State", lambda job: badge(job.get_state_display(), _TONE_BY_STATE.get(job.state, "plain")))
_kind = column("Kind", lambda job: badge(_NAMES[job.kind]))
_by = column("By", lambda job: job.started_by.get_username())
_of = column("Of", _about)
_started_at, _ended_at = instant_column("started_at", "Started at (UTC)"), instant_column("ended_at", "Ended at (UTC)")


class Overseen(ReadOnlyAdmin):
    """For those who oversee: what the audited do here is not for the audited to read."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_oversee(request)


@admin.register(Job)
class JobAdmin(Overseen):
    keyset = ("-id",)
    led_by = (JOBS_BY_KIND,)
    hint = "Verifications, rebuilds and exports, whoever started them, newest first."
    list_filter = (JobKindFilter,)
    list_select_related = ("started_by",)
    list_display = (column("Job", lambda job: job.pk), _kind, _of, _state, "done", _by, _started_at)
    detail = (
        (
            "Job",
            (
                (_kind, _of), (_state, "error"), ("done", "total"), _by, (_started_at, _ended_at),
                json_column("result", "Result"),
            ),
        ),
    )  # fmt: skip


def _action(entry: LogEntry) -> SafeString:
    return badge(_ACTIONS[entry.action_flag])


def _said(entry: LogEntry) -> str:
    return entry.get_change_message()


_who = column("Who", lambda entry: entry.user.get_username())
_what = column("What", lambda entry: entry.content_type.name if entry.content_type else "")
_whom = column("Of", lambda entry: entry.object_repr)


@admin.register(LogEntry)
class LogEntryAdmin(Overseen):
    keyset = ("-id",)
    hint = "What administrators added, changed and deleted: users, their roles, API tokens; and parked events retried."
    list_select_related = ("user", "content_type")
    list_display = (
        instant_column("action_time", "At (UTC)"), _who, column("Did", _action), _what, _whom,
        column("Changed", _said),
    )  # fmt: skip
    detail = (
        (
            "Change",
            (
                instant_column("action_time", "At (UTC)"), _who, column("Did", _action), (_what, _whom),
                column("Changed", _said),
            ),
        ),
    )  # fmt: skip
