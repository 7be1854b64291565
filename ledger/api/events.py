"""The event log over HTTP: pages in the order of the journal, and single events."""

from __future__ import annotations

import asyncio

from django.http import HttpResponse
from rest_framework.request import Request

from ledger import selectors
from ledger.api import parameters
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.schema import Envelope, EventsAnswer, query, read
from ledger.api.waiting import MIN_POSITION, journal_head
from ledger.store.proofs import EventNotFound

# An event that was just written is ordered within milliseconds; a client that asks sooner is kept this long.
ORDER_S_MAX, ORDER_POLL_S = 1.0, 0.005
_PAGE_PARAMETERS = [
    query("limit", int, f"1 to {parameters.PAGE_MAX}; {parameters.PAGE_DEFAULT} when absent"),
    query("after", int, "only events after this position"),
    query("aggregate_id", str, "only events of this aggregate"),
    query("event_type", str, "only events of this type, such as MoneyDeposited"),
    MIN_POSITION,
]


class EventsView(ApiView):
    @read("list_events", EventsAnswer, tag="events", parameters=_PAGE_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """All events in the order of the journal."""
        after, limit = parameters.number(request, "after", 0), parameters.limit(request)
        filters = (parameters.text(request, "aggregate_id"), parameters.text(request, "event_type"))
        await journal_head(request)
        page = await in_thread(selectors.events, after, limit, *filters)
        next_after = page.events[-1]["position"] if len(page.events) == limit else None
        body = {"events": page.events, "total": page.total, "next_after": next_after}
        return answer(body, position=page.head_position)


class EventView(ApiView):
    @read("get_event", Envelope, 404, tag="events", parameters=[MIN_POSITION])
    async def get(self, request: Request, event_id: str) -> HttpResponse:
        """One event, as soon as it is written."""
        key = parameters.uuid_or_none(event_id)
        if key is None:
            raise EventNotFound("an event's id is a UUID", event_id=event_id[:64])
        head = await journal_head(request)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ORDER_S_MAX
        while True:
            envelope = await in_thread(selectors.event, key)
            if envelope["position"] is not None or loop.time() > deadline:
                return answer(envelope, position=max(head, envelope["position"] or 0))
            await asyncio.sleep(ORDER_POLL_S)
