"""The read models: what the projections have made of the events, and how far they are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from auditor import access_log
from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.composite import FOUND_MAX, containing
from auditor.admin.filters import ACCOUNTS_BY_CURRENCY, CurrencyFilter, TransferKindFilter, TransferStatusFilter
from auditor.admin.formats import (
    NOTHING,
    account_link,
    badge,
    column,
    instant_column,
    link,
    money,
    money_column,
    short_id,
    status_badge,
)
from auditor.past.account import account
from auditor.past.time_travel import time_travel
from auditor.past.transfer import transfer
from projections.models import Account, Posting, SearchEntry, Transaction, Transfer, TrialBalance
from projections.search import ACCOUNT

_status = column("Status", lambda row: status_badge(row.status))
_kind = column("Kind", lambda line: badge(line.kind.replace("_", " ")))
_recorded_at = instant_column("recorded_at", "Recorded at (UTC)")
_side = column("Side", lambda posting: badge("outside" if posting.is_external else "account"))
_position = column("Position", lambda row: link("ledger_journalentry_change", row.position))
_amount = money_column("amount_minor", "Amount")
_signed_amount = money_column("amount_minor", "Amount", signed=True)


def _available(account: Account) -> SafeString:
    available_minor = account.balance_minor - account.held_minor + account.overdraft_limit_minor
    return money(available_minor, account.currency)


_AVAILABLE = column("Available", _available, kind="money")


def _accounts_with(term: str, limit: int) -> list[str]:
    entries = containing(SearchEntry.objects.filter(kind=ACCOUNT), term)
    return list(entries.values_list("reference", flat=True)[:limit])


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    keyset = ("account_id",)
    led_by = (ACCOUNTS_BY_CURRENCY,)
    exact_search = account_fields = ("account_id",)
    search_help_text = "Part of an id or an owner's name"
    finds_parts = True
    hint = "The latest state of each account."
    list_filter = (CurrencyFilter,)
    list_display = (
        "account_id", "owner_name", money_column("balance_minor", "Balance"), _AVAILABLE, _status,
        "version", instant_column("updated_at", "Last event at (UTC)"),
    )  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find accounts by any part of their id or of their owner's name: there is a trigram index of both."""
        if not search_term:
            return queryset, False
        return queryset.filter(account_id__in=_accounts_with(search_term, FOUND_MAX)), False

    def subjects_searched(self, term: str) -> list[tuple[str, str]]:
        """Return what a search finds where that is no more than a page: all of it is shown, each with its balance."""
        found = _accounts_with(term, self.list_per_page + 1)
        return [(access_log.ACCOUNT, account_id) for account_id in found] if len(found) <= self.list_per_page else []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.own_page(request, object_id, account)

    def time_travel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.own_page(request, object_id, time_travel)

    def get_urls(self) -> list[URLPattern]:
        travel = self.admin_site.admin_view(self.time_travel_view)
        # Before Django's own, whose last pattern takes every address.
        return [path("<path:object_id>/time-travel/", travel, name="time_travel"), *super().get_urls()]


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    keyset = ("-position",)
    led_by = (("account_id", "-position"), ("description", "-position"))
    exact_search = ("position", "event_id", "account_id")
    account_fields, event_fields = ("account_id",), ("event_id",)
    search_help_text = "Account id, event id or position"
    hint = "One line for each event that moved money, newest first, with the balance it left."
    list_display = (
        "position",
        column("Account", lambda line: account_link(line.account_id)),
        _kind, _signed_amount, money_column("balance_minor", "Balance after"),
        column("Counter-account", lambda line: account_link(line.counter_account)), "description", _recorded_at,
    )  # fmt: skip
    detail = (
        (
            "Transaction",
            (
                (column("Account", lambda line: account_link(line.account_id)), "version"),
                (_kind, column("Counter-account", lambda line: account_link(line.counter_account))),
                (_signed_amount, money_column("balance_minor", "Balance after")),
                ("description", _position),
                (_recorded_at, instant_column("effective_at", "Effective at (UTC)")),
                (column("Event", lambda line: link("ledger_event_change", line.event_id)),),
                (column("Transfer", lambda line: _transfer_link(line.transfer_id)),),
            ),
        ),
    )  # fmt: skip

    def subject(self, obj: Transaction) -> tuple[str, str]:
        return (access_log.EVENT, str(obj.event_id))


def _transfer_link(transfer_id: str | None) -> SafeString:
    return link("projections_transfer_change", transfer_id) if transfer_id else NOTHING


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    keyset = ("-position",)
    led_by = (("from_account_id", "-position"), ("to_account_id", "-position"))
    exact_search = ("transfer_id", "from_account_id", "to_account_id")
    account_fields, transfer_fields = ("from_account_id", "to_account_id"), ("transfer_id",)
    search_help_text = "Transfer or account id"
    hint = "Money on its way as one thing, newest first: movements between accounts, and holds."
    list_filter = (TransferStatusFilter, TransferKindFilter)
    list_display = (
        column("Transfer", lambda row: short_id(row.transfer_id)), _kind,
        column("From", lambda row: account_link(row.from_account_id)),
        column("To", lambda row: account_link(row.to_account_id)),
        _amount, _status, "description", _recorded_at,
    )  # fmt: skip

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.own_page(request, object_id, transfer)


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    keyset = ("-posting_id",)
    led_by = (("account_id", "-posting_id"),)
    exact_search = account_fields = ("account_id",)
    search_help_text = "Account id"
    hint = "Both sides of every movement, the outside world's included; those of a command sum to zero."
    list_display = (
        "posting_id", _position, column("Account", lambda posting: account_link(posting.account_id)),
        _signed_amount, _side,
        _recorded_at,
    )  # fmt: skip
    detail = (
        (
            "Posting",
            (
                "posting_id", _position, column("Account", lambda posting: account_link(posting.account_id)),
                _signed_amount, _side, "command_id", _recorded_at,
                instant_column("effective_at", "Effective at (UTC)"),
            ),
        ),
    )  # fmt: skip

    def subject(self, obj: Posting) -> tuple[str, str] | None:
        return None if obj.is_external else (access_log.ACCOUNT, obj.account_id)


@admin.register(TrialBalance)
class TrialBalanceAdmin(ReadOnlyAdmin):
    keyset = ("currency",)
    hint = "For each currency all accounts on one side and the outside world on the other. Together they are zero."
    list_display = (
        "currency",
        money_column("accounts_minor", "Accounts"), money_column("external_minor", "Outside"),
        column("Sum", lambda line: money(int(line.accounts_minor + line.external_minor), line.currency), kind="money"),
        money_column("credits_minor", "Credits"), money_column("debits_minor", "Debits"), "postings", _position,
    )  # fmt: skip
    detail = (("Trial balance", list_display),)
