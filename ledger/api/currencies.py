"""The currencies this ledger knows."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from ledger.api.base import ApiView, answer
from ledger.api.schema import CurrenciesAnswer, read
from ledger.domain import currencies


class CurrenciesView(ApiView):
    @read("list_currencies", CurrenciesAnswer, tag="accounts")
    async def get(self, request: Request) -> HttpResponse:
        """Every currency and how many decimals its amounts may have."""
        known = [{"code": code, "decimals": currencies.decimals_of(code)} for code in currencies.codes()]
        return answer({"currencies": known})
