"""One account at any microsecond or version: the event that made it so, the step before and the step after.

From the event store, by index probes, whatever the read model does.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger.api import fields, parameters
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.errors import InvalidParameter
from ledger.api.schema import INSTANT, query, read
from ledger.api.waiting import MIN_POSITION, journal_head
from ledger.domain.account import from_state
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.store.recorded import RecordedEvent
from projections import steps
from projections.api.schema import AccountAtAnswer

VERSION_MAX = parameters.NUMBER_MAX - 1  # the step after it has to have a number, too
_PARAMETERS = [
    query("timestamp", INSTANT, "RFC 3339 with an offset, to the microsecond; by recorded_at"),
    query("version", int, "of the account, in place of a timestamp; 0 is before it existed"),
    MIN_POSITION,
]


class AccountAtView(ApiView):
    @read("get_account_at", AccountAtAnswer, 404, tag="accounts", parameters=_PARAMETERS)
    async def get(self, request: Request, account_id: str) -> HttpResponse:
        """An account as it was, and why. Before its first event it is at version 0 and `event` is null."""
        fields.account_id(account_id)
        at, version = parameters.instant(request, "timestamp"), parameters.number(request, "version", -1, VERSION_MAX)
        if (at is None) == (version < 0):
            raise InvalidParameter("either timestamp or version says when", parameter="timestamp")
        head = await journal_head(request)
        if at is not None:
            step = await in_thread(steps.step_at, account_id, at)
        else:
            step = await in_thread(steps.step_to, account_id, version)
        body = {
            "account_id": account_id,
            "at": None if at is None else format_instant(at),
            "version": step.event.version if step.event else 0,
            "final": step.is_final,
            "event": _event_json(step.event),
            "before": _event_json(step.before),
            "after": _event_json(step.after),
        }
        return answer(body, position=head)


def _event_json(event: RecordedEvent | None) -> dict[str, Any] | None:
    if event is None:
        return None
    account = from_state(event.state)
    return {
        "event_id": str(event.event_id),
        "event_type": event.event_type,
        "version": event.version,
        "recorded_at": format_instant(event.recorded_at),
        "effective_at": format_instant(event.effective_at),
        "data": event.data,
        "balance": format_minor(account.balance_minor, account.currency),
        "held": format_minor(account.held_minor, account.currency),
        "available": format_minor(account.available_minor, account.currency),
        "currency": account.currency,
        "status": account.status,
    }
