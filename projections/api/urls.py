"""The read model's addresses under /api/v1/."""

from django.urls import path

from projections.api.accounts import AccountsView, AccountView, TransactionsView
from projections.api.books import BooksDifferenceView, BooksView
from projections.api.search import SearchView
from projections.api.steps import AccountAtView
from projections.api.transfers import TransfersView, TransferView
from projections.api.trial_balance import TrialBalanceView

urlpatterns = [
    path("accounts", AccountsView.as_view()),
    path("accounts/<str:account_id>", AccountView.as_view()),
    path("accounts/<str:account_id>/at", AccountAtView.as_view()),
    path("accounts/<str:account_id>/transactions", TransactionsView.as_view()),
    path("transfers", TransfersView.as_view()),
    path("transfers/<str:transfer_id>", TransferView.as_view()),
    path("trial-balance", TrialBalanceView.as_view()),
    path("books", BooksView.as_view()),
    path("books/difference", BooksDifferenceView.as_view()),
    path("search", SearchView.as_view()),
]
