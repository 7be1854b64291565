"""The event store's tables: what was recorded, in what order, what waits, what was refused."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from auditor import access_log
from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.filters import JOURNAL_BY_TYPE, EventTypeFilter, LateFilter
from auditor.admin.formats import (
    NOTHING,
    account_link,
    aggregate_link,
    anchor,
    badge,
    column,
    event_badge,
    hash_column,
    in_commas,
    instant,
    instant_column,
    json_column,
    link,
    list_link,
    live_link,
    preformatted,
    short_id,
)
from auditor.admin.refusal_filters import (
    REFUSALS_BY_ACTOR,
    REFUSALS_BY_CODE,
    CodeFilter,
    CommandTypeFilter,
    LeastAmountFilter,
    SinceFilter,
    UntilFilter,
)
from ledger.models import Event, IdempotencyKey, JournalEntry, OutboxEntry, Refusal, TreeHead

_recorded_at = instant_column("recorded_at", "Recorded at (UTC)")
_aggregate = column("Account", lambda row: aggregate_link(row.aggregate_id))
_event_type = column("Type", lambda row: event_badge(row.event_type))
_punctual = column("Punctual", lambda entry: badge("late", "danger") if entry.is_late else badge("in time", "good"))


def _sequenced_at(entry: JournalEntry) -> SafeString:
    late = badge("late", "danger") if entry.is_late else ""
    return format_html("{} {}", instant(entry.sequenced_at), late)


def _position(event: Event) -> SafeString:
    position = getattr(event, "position", None)
    return NOTHING if position is None else link("ledger_journalentry_change", position)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    keyset = ("aggregate_id", "version")
    # Within one account a page begins at a version, and reads nothing of those before.
    led_by = (keyset,)
    exact_search = ("aggregate_id", "event_id")
    account_fields, event_fields = ("aggregate_id",), ("event_id",)
    search_help_text = "Account or event id"
    hint = "Every event there is, by account and version. In order of time they are in the journal."
    list_display = (
        column("Event", lambda event: short_id(event.event_id)),
        _event_type,
        _aggregate,
        "version",
        column("Position", _position),
        _recorded_at,
        hash_column("hash", "Hash", short=True),
    )
    detail = (
        (
            "Event",
            (
                ("event_id", _event_type), (_aggregate, "version"),
                (column("Position", _position), "schema_version"),
                (_recorded_at, instant_column("effective_at", "Effective at (UTC)")),
            ),
        ),
        (
            "Content",
            (json_column("data", "Data"), json_column("state", "State after"), json_column("metadata", "Metadata")),
        ),
        ("Evidence", (hash_column("hash", "Hash"), hash_column("previous_hash", "Previous hash"))),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        place = JournalEntry.objects.filter(aggregate_id=OuterRef("aggregate_id"), version=OuterRef("version"))
        return super().get_queryset(request).annotate(position=Subquery(place.values("position")[:1]))

    def subject(self, obj: Event) -> tuple[str, str]:
        return (access_log.EVENT, str(obj.event_id))

    def related(self, obj: Any) -> list[SafeString]:
        links = [list_link("ledger_event", "The account's events", aggregate_id=obj.aggregate_id)]
        if obj.position is not None:
            links.append(link("ledger_journalentry_change", obj.position, f"Journal entry {obj.position}"))
            links.append(anchor(reverse("event-proof", args=[obj.event_id]), "Proof as JSON"))
        if transfer_id := obj.data.get("transfer_id"):
            links.append(link("projections_transfer_change", transfer_id, "Transfer"))
        return [*links, *_events_of_command(obj), live_link(obj.aggregate_id)]


def _events_of_command(event: Any) -> list[SafeString]:
    """Link the other events of the command: they stand beside this one in the journal."""
    if event.position is None:
        return []
    entry = JournalEntry.objects.get(position=event.position)
    first = entry.position - entry.command_index
    beside = JournalEntry.objects.filter(position__gte=first, position__lt=first + entry.command_size)
    return [
        link("ledger_event_change", other.event_id, f"Same command: {other.event_type} on {other.aggregate_id}")
        for other in beside.exclude(position=entry.position).order_by("position")
    ]


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    keyset = ("-position",)
    # An account's versions rise with its positions.
    led_by = (("-aggregate_id", "-version"), JOURNAL_BY_TYPE)
    exact_search = ("position", "aggregate_id")
    account_fields = ("aggregate_id",)
    search_help_text = "Position or account id"
    hint = "The total order over all events: gapless from 1, newest first. Each running hash seals all before it."
    list_filter = (EventTypeFilter, LateFilter)
    list_display = (
        "position",
        _event_type,
        _aggregate,
        "version",
        column("Event", lambda entry: link("ledger_event_change", entry.event_id, short_id(entry.event_id))),
        column("In command", lambda entry: f"{entry.command_index + 1} of {entry.command_size}"),
        column("Sequenced at (UTC)", _sequenced_at),
        hash_column("running_hash", "Running hash", short=True),
    )
    detail = (
        (
            "Journal entry",
            (
                ("position", _event_type), (_aggregate, "version"),
                column("Event", lambda entry: link("ledger_event_change", entry.event_id)), "command_id",
                (
                    column("In command", lambda entry: f"{entry.command_index + 1} of {entry.command_size}"),
                    instant_column("sequenced_at", "Sequenced at (UTC)"),
                ),
                _punctual,
            ),
        ),
        ("Evidence", (hash_column("event_hash", "Event hash"), hash_column("running_hash", "Running hash"))),
    )  # fmt: skip

    def subject(self, obj: JournalEntry) -> tuple[str, str]:
        return (access_log.EVENT, str(obj.event_id))

    def related(self, obj: JournalEntry) -> list[SafeString]:
        links = [link("ledger_event_change", obj.event_id, "The event")]
        if obj.position > 1:
            links.append(link("ledger_journalentry_change", obj.position - 1, f"Entry before: {obj.position - 1}"))
        if JournalEntry.objects.filter(position=obj.position + 1).exists():
            links.append(link("ledger_journalentry_change", obj.position + 1, f"Entry after: {obj.position + 1}"))
        return links


@admin.register(OutboxEntry)
class OutboxEntryAdmin(ReadOnlyAdmin):
    keyset = ("recorded_at", "command_id")
    exact_search = ("command_id",)
    search_help_text = "Command id"
    empty = "Nothing waits: every accepted command is in the journal"
    hint = "Accepted commands that the journal has not ordered yet. Usually empty: the relay takes them at once."
    list_display = ("command_id", _recorded_at, column("Events", lambda entry: len(entry.events)))
    detail = (("Accepted command", ("command_id", _recorded_at, json_column("events", "Events"))),)


def _refused_account(refusal: Refusal) -> str:
    """Return the account that a refused command was about, the one that was to pay before the one that was to get."""
    named = (refusal.command.get(name) for name in ("account_id", "from_account_id"))
    return next((account_id for account_id in named if isinstance(account_id, str)), "")


def _refused_amount(refusal: Refusal) -> str | SafeString:
    """Return the amount as it was asked for, of which nobody can say more than that it was refused."""
    return in_commas(str(refusal.command.get("amount") or "")) or NOTHING


@admin.register(Refusal)
class RefusalAdmin(ReadOnlyAdmin):
    keyset = ("-recorded_at", "-refusal_id")
    led_by = (REFUSALS_BY_ACTOR, REFUSALS_BY_CODE)
    exact_search = ("actor", "code", "refusal_id")
    search_help_text = "Actor, code or refusal id"
    empty = "No command was refused"
    hint = (
        "Commands that a rule of the books refused, newest first. They changed nothing. The filters narrow them to a "
        "command, an amount, a time."
    )
    list_filter = (CommandTypeFilter, CodeFilter, LeastAmountFilter, SinceFilter, UntilFilter)
    list_display = (
        column("Code", lambda refusal: badge(refusal.code, "warning")),
        column("Command", lambda refusal: refusal.command_type),
        column("Account", lambda refusal: account_link(_refused_account(refusal))),
        column("Amount", _refused_amount, kind="money"),
        column("Actor", lambda refusal: refusal.actor),
        column("Why", lambda refusal: refusal.detail),
        _recorded_at,
    )
    detail = (
        (
            "Refusal",
            (
                "refusal_id", column("Code", lambda refusal: badge(refusal.code, "warning")), "detail", "command_type",
                "actor", "command_id", _recorded_at, json_column("command", "Command"),
            ),
        ),
    )  # fmt: skip

    def subject(self, obj: Refusal) -> tuple[str, str] | None:
        account_id = _refused_account(obj)
        return (access_log.ACCOUNT, account_id) if account_id else None


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    keyset = ("key",)
    exact_search = ("key",)
    search_help_text = "The whole key: actor/key"
    hint = "What each idempotency key was answered with, so that the same request gets the same answer."
    list_display = ("key", _recorded_at, hash_column("request_hash", "Request hash", short=True))
    detail = (
        (
            "Idempotency key",
            ("key", _recorded_at, hash_column("request_hash", "Request hash"), json_column("outcome", "Outcome")),
        ),
    )


@admin.register(TreeHead)
class TreeHeadAdmin(ReadOnlyAdmin):
    keyset = ("-tree_size",)
    exact_search = ("tree_size",)
    search_help_text = "Tree size"
    hint = "Signed roots of the Merkle tree over the journal. Keep one, and no event under it can change unnoticed."
    list_display = ("tree_size", instant_column("signed_at", "Signed at (UTC)"))
    detail = (
        (
            "Tree head",
            (
                "tree_size",
                instant_column("signed_at", "Signed at (UTC)"),
                column("Note", lambda head: preformatted(head.note)),
            ),
        ),
    )
