"""The trial balance: in each currency, the accounts and the outside world add up to nothing."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger import selectors as ledger
from ledger.api import parameters
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.schema import INSTANT, query, read
from ledger.api.waiting import MIN_POSITION
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from projections import selectors
from projections.api import freshness
from projections.api.schema import TrialBalanceAnswer
from projections.selectors import TrialBalanceLine

_PARAMETERS = [query("as_of", INSTANT, "RFC 3339 with an offset, by recorded_at; now when absent"), MIN_POSITION]


class TrialBalanceView(ApiView):
    @read("get_trial_balance", TrialBalanceAnswer, tag="books", parameters=_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """The whole books in a few lines, with everything that the journal holds at this moment."""
        as_of = parameters.instant(request, "as_of")

        def look() -> selectors.TrialBalance:
            return selectors.trial_balance(as_of)

        # The journal's head first: what is settled by it is in every read model that has reached it.
        backlog = await in_thread(ledger.backlog)
        head = backlog.head_position
        found = await freshness.reached(request, look, at_least=head)
        is_settled = as_of is not None and backlog.is_settled(as_of)
        body = {
            "as_of": None if as_of is None else format_instant(as_of),
            "position": found.position,
            "currencies": [_json(line) for line in found.lines],
            "balanced": all(line.difference_minor == 0 for line in found.lines),
            "final": is_settled and found.position >= head,
        }
        return answer(body, position=found.position)


def _json(line: TrialBalanceLine) -> dict[str, Any]:
    return {
        "currency": line.currency,
        "accounts": line.accounts,
        "accounts_total": format_minor(line.accounts_minor, line.currency),
        "external_total": format_minor(line.external_minor, line.currency),
        "difference": format_minor(line.difference_minor, line.currency),
    }
