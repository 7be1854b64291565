"""The projections themselves: how far each is, and what waits for a person."""

from __future__ import annotations

from django.contrib import admin

from auditor import access_log
from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.formats import account_link, badge, column, event_badge, hash_column, instant_column, link
from projections.models import Checkpoint, ParkedEvent

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
    hint = "Events that a projection could not apply, and those that wait behind one. After the fix: retry_parked."
    list_display = (
        column("Projection", lambda parked: parked.projection), _position,
        column("Type", lambda parked: event_badge(parked.event_type)),
        column("Account", lambda parked: account_link(parked.aggregate_id)),
        _why,
        column("Reason", lambda parked: parked.reason), "attempts", instant_column("parked_at", "Parked at (UTC)"),
    )  # fmt: skip
    detail = (
        (
            "Parked event",
            (
                "projection", _position, column("Event", lambda parked: link("ledger_event_change", parked.event_id)),
                column("Type", lambda parked: event_badge(parked.event_type)),
                column("Account", lambda parked: account_link(parked.aggregate_id)), _why, "reason", "attempts",
                instant_column("parked_at", "Parked at (UTC)"),
            ),
        ),
    )  # fmt: skip

    def subject(self, obj: ParkedEvent) -> tuple[str, str]:
        return (access_log.EVENT, str(obj.event_id))
