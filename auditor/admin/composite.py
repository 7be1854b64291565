"""The tables whose key is of several columns: days of accounts, minutes of event types, what is searched, tiles.

A row of theirs says all it has in the list, so none has a page of its own: Django has none for such keys. They are
ordered by those keys all the same, a page at a time, and are added to, changed and deleted by nobody.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.filters import ENTRIES_BY_KIND, TILES_BY_LEVEL, LevelFilter, SearchKindFilter
from auditor.admin.formats import (
    NOTHING,
    account_link,
    badge,
    column,
    event_badge,
    hash_column,
    link,
    list_link,
    money,
    money_column,
)
from ledger.models import Tile
from ledger.store.tiles import TILE_WIDTH
from projections.models import Activity, DailyBalance, SearchEntry
from projections.search import ACCOUNT

FOUND_MAX = 500  # rows that one search for a part of a text shows


def containing(entries: QuerySet[SearchEntry], term: str) -> QuerySet[SearchEntry]:
    """Narrow search entries to those whose text has a term in it, in small letters or large: an index of trigrams."""
    escaped = term.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return entries.extra(where=["text ILIKE %s"], params=[f"%{escaped}%"])


class RowsOnlyAdmin(ReadOnlyAdmin):
    """A list, and nothing behind its rows."""

    has_row_pages = False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model | None:
        """Find no row for a page of its own, whatever an address names."""
        return None

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> TemplateResponse:
        problem, back = "A row of this list says all it has there, and has no page of its own.", reverse(self.list_page)
        title = str(self.opts.verbose_name_plural).capitalize()
        return self.answer(request, "auditor/problem.html", title, status=404, problem=problem, back=back)


@admin.register(DailyBalance)
class DailyBalanceAdmin(RowsOnlyAdmin):
    keyset = ("account_id", "day", "is_external")
    led_by = (("-account_id", "-day", "-is_external"),)
    exact_search = account_fields = ("account_id",)
    search_help_text = "Account id"
    hint = (
        "What each account moved on each day (UTC) it counts for; narrowed to an account, the newest day first. "
        "A closing balance is the sum up to its day."
    )
    list_display = (
        column("Account", lambda row: account_link(row.account_id)),
        column("Day (UTC)", lambda row: row.day.isoformat()),
        column("Side", lambda row: badge("outside" if row.is_external else "account")),
        money_column("credits_minor", "Credits"),
        money_column("debits_minor", "Debits"),
        column("Postings", lambda row: list_link("projections_posting", row.postings, account_id=row.account_id)),
    )


def _amount(row: Activity) -> SafeString:
    return money(int(row.amount_minor), row.currency) if row.currency else NOTHING


@admin.register(Activity)
class ActivityAdmin(RowsOnlyAdmin):
    keyset = ("-minute", "-event_type", "-currency")
    hint = "How many events of each type were recorded in each minute, and what they moved, newest first."
    list_display = (
        column("Minute (UTC)", lambda row: f"{row.minute:%Y-%m-%d %H:%M}"),
        column("Type", lambda row: event_badge(row.event_type)),
        "events",
        column("Amount", _amount, kind="money"),
        column("Entries", lambda row: list_link("ledger_journalentry", "Journal", event_type=row.event_type)),
    )


def _leads_to(entry: SearchEntry) -> SafeString:
    if entry.kind == ACCOUNT:
        return account_link(entry.reference)
    return list_link("projections_transaction", "Transactions", description=entry.reference)


@admin.register(SearchEntry)
class SearchEntryAdmin(RowsOnlyAdmin):
    keyset = ("kind", "reference")
    led_by = (ENTRIES_BY_KIND,)
    search_help_text = "Part of the text"
    finds_parts = True
    hint = "What a search finds, and by which text: accounts by id and owner, transactions by what they say."
    list_filter = (SearchKindFilter,)
    list_display = (
        column("Kind", lambda entry: badge(entry.kind)),
        "text",
        column("Leads to", _leads_to),
        column("First said at", lambda entry: link("ledger_journalentry_change", entry.position)),
    )

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("text",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        found = list(containing(SearchEntry.objects.all(), search_term).values_list("pk", flat=True)[:FOUND_MAX])
        return queryset.filter(pk__in=found), False


def _first_position(tile: Tile) -> SafeString:
    return link("ledger_journalentry_change", tile.tile_index * _positions_under(tile) + 1)


def _last_position(tile: Tile) -> SafeString:
    return link("ledger_journalentry_change", (tile.tile_index + 1) * _positions_under(tile))


def _positions_under(tile: Tile) -> int:
    return int(TILE_WIDTH ** (tile.level + 1))


@admin.register(Tile)
class TileAdmin(RowsOnlyAdmin):
    keyset = TILES_BY_LEVEL
    led_by = (TILES_BY_LEVEL,)
    hint = (
        "Full tiles of the Merkle tree: each stands for 256 hashes, at level 0 those of journal entries, above it "
        "the roots of the tiles below. The highest level first, and in it the newest."
    )
    list_filter = (LevelFilter,)
    list_display = (
        "level",
        "tile_index",
        column("From position", _first_position),
        column("To position", _last_position),
        hash_column("root", "Root"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tile]:
        """Leave the hashes of a tile, 8 kB, where they are: the list shows what they add up to."""
        return super().get_queryset(request).defer("hashes")
