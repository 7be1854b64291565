"""Search: accounts by owner or id, lines by description, transfers and events by id."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from ledger.api import parameters
from ledger.api.base import ApiView, answer
from ledger.api.errors import InvalidParameter
from ledger.api.schema import query, read
from ledger.api.waiting import MIN_POSITION
from projections import finding
from projections.api.freshness import reached
from projections.api.schema import LIMIT, SearchAnswer

_PARAMETERS = [
    query("q", {"type": "string", "minLength": finding.TEXT_LENGTH_MIN}, "what is known of it", required=True),
    query("kind", {"type": "string", "enum": list(finding.KINDS)}, "only hits of this kind"),
    LIMIT,
    MIN_POSITION,
]


class SearchView(ApiView):
    @read("search", SearchAnswer, tag="search", parameters=_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """Part of an account's id or its owner's name, part of a description, or the first eight digits of an id."""
        text = parameters.text(request, "q") or ""
        if len(text) < finding.TEXT_LENGTH_MIN:
            raise InvalidParameter(f"q has at least {finding.TEXT_LENGTH_MIN} characters", parameter="q")
        kind, limit = parameters.choice(request, "kind", finding.KINDS), parameters.limit(request)
        kinds = finding.KINDS if kind is None else (kind,)
        found = await reached(request, lambda: finding.find(text, kinds, limit))
        hits = [hit._asdict() for hit in found.hits]
        return answer({"hits": hits, "has_more": found.has_more}, position=found.position)
