"""The access log and the findings: readable by those who oversee.

The log is changed by nobody. A finding is taken further on its page by a form of its own (`auditor.findings`), which
adds a step; the admin changes neither.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from auditor.access_log import ACCOUNT, EVENT, LIST, TRANSFER
from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.filters import FindingStateFilter
from auditor.admin.formats import badge, column, instant_column, link, list_link
from auditor.admin.keyset import led_to
from auditor.findings.notes import opened_note
from auditor.models import AccessLogEntry, Finding
from auditor.permissions import may_oversee

NOTE_SHOWN = 120  # characters of a note in the list
_PAGE_BY_KIND = {
    ACCOUNT: "projections_account_change",
    EVENT: "ledger_event_change",
    TRANSFER: "projections_transfer_change",
}


_TONE_BY_STATE: dict[str, str] = {
    Finding.State.OPEN: "warning",
    Finding.State.EXPLAINED: "good",
    Finding.State.ESCALATED: "danger",
}
_finding_state = column("State", lambda row: badge(row.get_state_display(), _TONE_BY_STATE[row.state]))


# Of their indexes: the fields, in the order in which the lists show them.
_BY_ID, _LOOKS_BY_USER = ("subject_id", "-id"), ("user", "-id")


def _subject(entry: AccessLogEntry | Finding) -> SafeString | str:
    if entry.kind != LIST:
        return link(_PAGE_BY_KIND[entry.kind], entry.subject_id)
    app_label, _, name = entry.subject_id.partition(".")
    if not name:
        return entry.subject_id  # a list of a page of its own: its address says which
    title = str(apps.get_model(app_label, name)._meta.verbose_name_plural).capitalize()
    return list_link(f"{app_label}_{name}", title)


def _who(entry: AccessLogEntry) -> SafeString:
    return list_link("auditor_accesslogentry", entry.user.get_username(), user=str(entry.user.pk))


@admin.register(AccessLogEntry)
class AccessLogEntryAdmin(ReadOnlyAdmin):
    keyset = ("-id",)
    led_by = (_BY_ID, _LOOKS_BY_USER)
    exact_search = ("subject_id",)
    search_help_text = "Account, event or transfer id, or a user's name"
    narrowed_by = ("kind",)
    hint = (
        "Every look at an account, an event or a transfer, and every list that was exported, newest first: pages, "
        "API calls and websockets."
    )
    list_select_related = ("user",)
    list_display = (
        instant_column("at", "At (UTC)"),
        column("Who", _who),
        column("What", lambda entry: badge(entry.kind)),
        column("Id", _subject),
        column("Where", lambda entry: entry.path),
    )
    detail = (
        (
            "Look",
            (
                instant_column("at", "At (UTC)"), column("Who", _who),
                column("What", lambda entry: badge(entry.kind)), column("Id", _subject), "path",
            ),
        ),
    )  # fmt: skip

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_oversee(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the looks at what is called that, or where nobody looked at any such thing, those of that user."""
        found, is_repeating = super().get_search_results(request, queryset, search_term)
        user = User.objects.filter(username=search_term.strip()).first()
        if user is None or found[:1].exists():
            return found, is_repeating
        return led_to(queryset, _LOOKS_BY_USER, user.pk), False


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    keyset = ("-id",)
    led_by = (_BY_ID,)
    exact_search = ("subject_id",)
    search_help_text = "Account or event id"
    hint = "What auditors noted about events and accounts, newest first."
    empty = "No findings yet: open an account or an event, and add one there"
    list_filter = (FindingStateFilter,)
    narrowed_by = ("kind",)
    list_select_related = ("opened_by",)
    change_form_outer_after_template = "auditor/finding_changes.html"
    list_display = (
        column("Finding", lambda finding: finding.pk),
        _finding_state,
        column("About", lambda finding: badge(finding.kind)),
        column("Id", _subject),
        column("Note", lambda finding: opened_note(finding)[:NOTE_SHOWN]),
        column("By", lambda finding: finding.opened_by.get_username()),
        instant_column("changed_at", "Changed at (UTC)"),
    )
    detail = (
        (
            "Finding",
            (
                (_finding_state, column("About", lambda finding: badge(finding.kind))), column("Id", _subject),
                column("Note", opened_note),
                (column("Opened by", lambda finding: finding.opened_by.get_username()),
                 instant_column("opened_at", "Opened at (UTC)")),
            ),
        ),
    )  # fmt: skip

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_oversee(request)

    def page_context(self, obj: Finding) -> dict[str, Any]:
        changes = obj.changes.select_related("changed_by").order_by("-pk")
        steps = [
            (badge(step.get_state_display(), _TONE_BY_STATE[step.state]), step, opened_note(step)) for step in changes
        ]
        return {**super().page_context(obj), "steps": steps, "finding": obj, "states": Finding.State.choices}
