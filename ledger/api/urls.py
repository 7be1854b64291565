"""The write side's addresses under /api/v1/. None ends in a slash; one that does is answered all the same."""

from django.urls import path

from ledger.api.balance_at import BalanceAtView
from ledger.api.batch import BatchView
from ledger.api.commands import VIEWS
from ledger.api.currencies import CurrenciesView
from ledger.api.events import EventsView, EventView
from ledger.api.refusals import RefusalsView
from ledger.api.tokens import TokenView

urlpatterns = [
    path("auth/token", TokenView.as_view()),
    path("commands/batch", BatchView.as_view()),
    *(path(f"commands/{command_type}", view.as_view()) for command_type, view in VIEWS.items()),
    path("events", EventsView.as_view()),
    path("events/<str:event_id>", EventView.as_view()),
    path("accounts/<str:account_id>/balance-at", BalanceAtView.as_view()),
    path("refusals", RefusalsView.as_view()),
    path("currencies", CurrenciesView.as_view()),
]
