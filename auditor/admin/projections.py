"""The projections themselves: how far each is, and what waits for a person, who may be one that can mend it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from auditor import access_log
from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.formats import aggregate_link, badge, column, event_badge, hash_column, instant_column, link
from auditor.permissions import may_repair
from projections import parking
from projections.connection import read_model_connection
from projections.models import Checkpoint, ParkedEvent
from projections.projection import by_name

_position = column("Position", lambda row: link("ledger_journalentry_change", row.position))
_why = column("Why", lambda parked: badge("cause", "danger") if parked.is_cause else badge("waits behind one"))
_projection_state = column(
    "State", lambda checkpoint: badge("stopped", "danger") if checkpoint.alarm else badge("running", "good")
)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    keyset = ("projection",)
    hint = "How far each projection is. Its running hash equals the journal's at that position, or it is wrong."
    list_display = (
        "projection", _position, column("Last lag", lambda checkpoint: f"{checkpoint.lag_ms} ms"),
        hash_column("running_hash", "Running hash", short=True),
        _projection_state,
        instant_column("updated_at", "Updated at (UTC)"),
    )  # fmt: skip
    detail = (
        (
            "Checkpoint",
            (
                "projection", "version", _position, column("Last lag", lambda checkpoint: f"{checkpoint.lag_ms} ms"),
                "alarm", instant_column("updated_at", "Updated at (UTC)"), hash_column("running_hash", "Running hash"),
            ),
        ),
    )  # fmt: skip


@admin.register(ParkedEvent)
class ParkedEventAdmin(ReadOnlyAdmin):
    keyset = ("projection", "position")
    hint = (
        "Events that a projection could not apply, and those that wait behind one. After the fix an administrator "
        "tries them again, here or with retry_parked."
    )
    empty = "Nothing is parked: every projection could apply every event"
    actions = ("retry_parked",)
    list_display = (
        column("Projection", lambda parked: parked.projection), _position,
        column("Type", lambda parked: event_badge(parked.event_type)),
        column("Account", lambda parked: aggregate_link(parked.aggregate_id)),
        _why,
        column("Reason", lambda parked: parked.reason), "attempts", instant_column("parked_at", "Parked at (UTC)"),
    )  # fmt: skip
    detail = (
        (
            "Parked event",
            (
                "projection", _position, column("Event", lambda parked: link("ledger_event_change", parked.event_id)),
                column("Type", lambda parked: event_badge(parked.event_type)),
                column("Account", lambda parked: aggregate_link(parked.aggregate_id)), _why, "reason", "attempts",
                instant_column("parked_at", "Parked at (UTC)"),
            ),
        ),
    )  # fmt: skip

    def has_repair_permission(self, request: HttpRequest) -> bool:
        return may_repair(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Let an administrator's retry through; whatever else is sent here is refused, as everywhere."""
        is_retry = request.method == "POST" and request.POST.get("action") == "retry_parked"
        if is_retry and self.has_repair_permission(request):
            return super(ReadOnlyAdmin, self).changelist_view(request, extra_context)
        return super().changelist_view(request, extra_context)

    @action(description="Try again what is parked in these projections", permissions=["repair"])  # type: ignore[untyped-decorator]
    def retry_parked(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> None:
        """Retry all of the projections that are chosen, oldest first: what is parked behind an event needs it first."""
        chosen = {parked.projection: parked for parked in queryset}
        with read_model_connection() as connection:
            for name in sorted(chosen):
                retried = parking.retry(connection, by_name(name))
                said = f"{name}: {retried.applied} applied, {retried.still_parked} still parked"
                self.log_change(request, chosen[name], said)
                level = messages.WARNING if retried.still_parked else messages.SUCCESS
                self.message_user(request, said, level)

    def subject(self, obj: ParkedEvent) -> tuple[str, str]:
        return (access_log.EVENT, str(obj.event_id))
