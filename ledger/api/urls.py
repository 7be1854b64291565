"""The write side's addresses under /api/v1/. None ends in a slash; one that does is answered all the same."""

from django.urls import path

from ledger.api.balance_at import BalanceAtView
from ledger.api.commands import CreateAccountView, DepositView, TransferView, WithdrawView
from ledger.api.currencies import CurrenciesView
from ledger.api.events import EventsView, EventView
from ledger.api.tokens import TokenView

urlpatterns = [
    path("auth/token", TokenView.as_view()),
    path("commands/create-account", CreateAccountView.as_view()),
    path("commands/deposit", DepositView.as_view()),
    path("commands/withdraw", WithdrawView.as_view()),
    path("commands/transfer", TransferView.as_view()),
    path("events", EventsView.as_view()),
    path("events/<str:event_id>", EventView.as_view()),
    path("accounts/<str:account_id>/balance-at", BalanceAtView.as_view()),
    path("currencies", CurrenciesView.as_view()),
]
