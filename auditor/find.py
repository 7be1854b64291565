"""One field for whatever an auditor has in hand: an id, a position, a name. It leads to the page of what that is.

What is compared whole is looked up by its key; what is no id of anything is searched for among the accounts.
"""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_safe

from auditor.pages import text_of
from auditor.past.frame import reads_the_stores
from ledger.api.parameters import uuid_or_none
from ledger.domain.events import RESERVED_PREFIXES, TRANSFER
from ledger.models import Event, JournalEntry, Refusal
from ledger.store import history
from projections import selectors

POSITION_DIGITS_MAX = 18


@require_safe
@reads_the_stores
def find(request: HttpRequest) -> HttpResponse:
    """Lead to an account, a transfer, an event, a refusal or a position; or to the accounts that have such a name."""
    named = text_of(request, "q")
    if not named:
        return redirect("admin:index")
    found = _page_of(named)
    if found is None:
        return redirect(f"{reverse('admin:projections_account_changelist')}?{urlencode({'q': named})}")
    page, key = found
    return redirect(f"admin:{page}", quote(key))


def _page_of(named: str) -> tuple[str, str] | None:
    """Return the page and the key of what is called that."""
    if not named.startswith(RESERVED_PREFIXES) and history.head_version(named):
        return "projections_account_change", named
    transfer_id = named.removeprefix(TRANSFER)  # as its events are named
    if selectors.transfer(transfer_id).row is not None:
        return "projections_transfer_change", transfer_id
    uuid: UUID | None = uuid_or_none(named)
    if uuid is not None:
        for page, model in (("ledger_event_change", Event), ("ledger_refusal_change", Refusal)):
            if model.objects.filter(pk=uuid).exists():
                return page, str(uuid)
    is_position = named.isascii() and named.isdigit() and len(named) <= POSITION_DIGITS_MAX
    if is_position and JournalEntry.objects.filter(pk=int(named)).exists():
        return "ledger_journalentry_change", str(int(named))
    return None
