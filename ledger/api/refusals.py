"""Refused commands over HTTP: who asked for what, and by which rule it was refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from ledger import selectors
from ledger.api import parameters
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.errors import InvalidParameter
from ledger.api.schema import RefusalsAnswer, query, read
from ledger.domain.instants import format_instant
from ledger.store.refusals import Filters, Refusal

_PARAMETERS = [
    query("limit", int, f"1 to {parameters.PAGE_MAX}; {parameters.PAGE_DEFAULT} when absent"),
    query("after", {"type": "string", "format": "uuid"}, "the refusal_id of the last one of the page before"),
    query("actor", str, "only commands of this user"),
    query("code", str, "only those refused with this code, such as insufficient_funds"),
    query("aggregate_id", str, "only commands that name this account"),
]


class RefusalsView(ApiView):
    @read("list_refusals", RefusalsAnswer, tag="events", parameters=_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """Commands that a rule of the books refused, newest first."""
        limit, after = parameters.limit(request), _after(request)
        filters = Filters(*(parameters.text(request, name) for name in ("actor", "code", "aggregate_id")))
        page = await in_thread(selectors.refused, limit, after, filters)
        if page is None:
            raise InvalidParameter("after is the id of a refusal", parameter="after")
        next_after = str(page.refusals[-1].refusal_id) if len(page.refusals) == limit else None
        return answer({"refusals": [_json(r) for r in page.refusals], "total": page.total, "next_after": next_after})


def _after(request: Request) -> UUID | None:
    text = parameters.text(request, "after")
    after = parameters.uuid_or_none(text) if text else None
    if text and after is None:
        raise InvalidParameter("after is the id of a refusal", parameter="after")
    return after


def _json(refusal: Refusal) -> dict[str, Any]:
    assert refusal.recorded_at is not None, "what was read has been recorded"
    return {
        **refusal._asdict(),
        "refusal_id": str(refusal.refusal_id),
        "command_id": str(refusal.command_id),
        "recorded_at": format_instant(refusal.recorded_at),
    }
