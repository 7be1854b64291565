"""The portal's own page: live events."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from auditor.history import Beginning, before_newest
from auditor.permissions import may_oversee
from auditor.request import FILTERS, Refused, filter_of
from ledger.domain import currencies
from ledger.domain.events import EVENT_TYPES
from ledger.errors import StoreUnavailable

# What the page shows before anything new arrives.
NEWEST_EVENTS = 100


def live(request: HttpRequest) -> HttpResponse:
    """Show events as they arrive, narrowed as asked; what cannot be asked is refused in words."""
    given = {name: request.GET.get(name, "").strip() for name in FILTERS}
    refusal = ""
    beginning: Beginning | None = None
    is_away = False
    try:
        beginning = before_newest(NEWEST_EVENTS, filter_of(given))
    except StoreUnavailable:
        is_away = True  # the page opens all the same, and begins at the head when there is one again
    except Refused as refused:
        refusal = refused.error
    context = {
        **admin.site.each_context(request),
        "title": "Live events",
        "given": given,
        "is_narrowed": any(given.values()),
        "journal_query": urlencode({name: given[name] for name in ("event_type", "aggregate_id") if given[name]}),
        "looked_at": beginning and beginning.looked_at,
        "refusal": refusal,
        "is_away": is_away,
        "after": beginning and beginning.after,
        "event_types": list(EVENT_TYPES),
        # A browser's own table of currencies may differ from the ledger's.
        "decimals": {code: currencies.decimals_of(code) for code in currencies.codes()},
        "addresses": _addresses(request),
    }
    request.current_app = admin.site.name
    return TemplateResponse(request, "auditor/live.html", context)


def _addresses(request: HttpRequest) -> dict[str, str]:
    """Return where the rows lead, with KEY in the place of what a row is about."""
    pages = {
        "account": "projections_account_change",
        "travel": "time_travel",
        "event": "ledger_event_change",
        "entry": "ledger_journalentry_change",
        "transfer": "projections_transfer_change",
    }
    addresses = {name: reverse(f"admin:{page}", args=["KEY"]) for name, page in pages.items()}
    if may_oversee(request):
        addresses["mark"] = f"{reverse('admin:finding-new')}?kind=event&subject=KEY"
    return {**addresses, "proof": f"{reverse('admin:integrity-event')}?event=KEY"}
