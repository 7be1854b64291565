"""The portal's own page: live events."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from auditor.history import before_newest
from auditor.live_events import Filter
from ledger.domain import currencies
from ledger.domain.events import EVENT_TYPES
from ledger.errors import StoreUnavailable

# What the page shows before anything new arrives.
NEWEST_EVENTS = 100


def live(request: HttpRequest) -> HttpResponse:
    """Show events as they arrive, narrowed to a type or an account if asked."""
    event_type = request.GET.get("event_type", "")
    wanted = Filter(event_type if event_type in EVENT_TYPES else "", request.GET.get("aggregate_id", "").strip()[:64])
    try:
        after: int | None = before_newest(NEWEST_EVENTS, wanted)
    except StoreUnavailable:
        after = None  # the page opens all the same, and begins at the head when there is one again
    context = {
        **admin.site.each_context(request),
        "title": "Live events",
        "wanted": wanted,
        "after": after,
        "event_types": list(EVENT_TYPES),
        # A browser's own table of currencies may differ from the ledger's.
        "decimals": {code: currencies.decimals_of(code) for code in currencies.codes()},
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "auditor/live.html", context)
