"""The access log: who looked at whom. Readable by those who oversee, changeable by nobody."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString

from auditor.access_log import ACCOUNT, EVENT, TRANSFER
from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.formats import badge, column, instant_column, link
from auditor.models import AccessLogEntry
from auditor.permissions import may_oversee

_PAGE_BY_KIND = {
    ACCOUNT: "projections_account_change",
    EVENT: "ledger_event_change",
    TRANSFER: "projections_transfer_change",
}


def _subject(entry: AccessLogEntry) -> SafeString:
    return link(_PAGE_BY_KIND[entry.kind], entry.subject_id)


@admin.register(AccessLogEntry)
class AccessLogEntryAdmin(ReadOnlyAdmin):
    keyset = ("-id",)
    exact_search = ("subject_id",)
    search_help_text = "Account, event or transfer id"
    hint = "Every look at an account, an event or a transfer, newest first: pages, API calls and websockets."
    list_select_related = ("user",)
    list_display = (
        instant_column("at", "At (UTC)"),
        column("Who", lambda entry: entry.user.get_username()),
        column("What", lambda entry: badge(entry.kind)),
        column("Id", _subject),
        column("Where", lambda entry: entry.path),
    )
    detail = (
        (
            "Look",
            (
                instant_column("at", "At (UTC)"), column("Who", lambda entry: entry.user.get_username()),
                column("What", lambda entry: badge(entry.kind)), column("Id", _subject), "path",
            ),
        ),
    )  # fmt: skip

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_oversee(request)
