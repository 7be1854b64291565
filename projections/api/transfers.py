"""Transfers and holds, from the read model."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger import selectors as ledger
from ledger.api import fields, parameters, waiting
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.schema import query, read
from ledger.api.waiting import MIN_POSITION
from ledger.domain.errors import TransferNotFound
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.errors import NotYet
from projections import selectors
from projections.api import freshness
from projections.api.schema import LIMIT, TransferAnswer, TransfersAnswer
from projections.models import Transfer
from projections.selectors import Found, Page
from projections.transfers import KINDS, STATUSES

TRANSFER_ID_MAX = 64
_LIST_PARAMETERS = [
    LIMIT,
    query("after", int, "the position of the last transfer of the page before"),
    query("account_id", str, "only transfers from or to this account"),
    query("kind", {"type": "string", "enum": list(KINDS)}, "only those of this kind"),
    query("status", {"type": "string", "enum": list(STATUSES)}, "only those that stand so"),
    MIN_POSITION,
]


class TransfersView(ApiView):
    @read("list_transfers", TransfersAnswer, tag="transfers", parameters=_LIST_PARAMETERS)
    async def get(self, request: Request) -> HttpResponse:
        """Transfers and holds, newest first."""
        limit, after = parameters.limit(request), parameters.number(request, "after", -1)
        account_id = parameters.text(request, "account_id")
        kind, status = parameters.choice(request, "kind", KINDS), parameters.choice(request, "status", STATUSES)

        def look() -> Page[Transfer]:
            return selectors.transfers(limit, None if after < 0 else after, account_id, kind=kind, status=status)

        page = await freshness.reached(request, look)
        next_after = page.rows[-1].position if len(page.rows) == limit else None
        body = {"transfers": [_json(row) for row in page.rows], "total": page.total, "next_after": next_after}
        return answer(body, position=page.position)


class TransferView(ApiView):
    @read("get_transfer", TransferAnswer, 404, tag="transfers", parameters=[MIN_POSITION])
    async def get(self, request: Request, transfer_id: str) -> HttpResponse:
        """One transfer or hold; one that was just made is waited for."""
        fields.plain_text(transfer_id, TRANSFER_ID_MAX, "transfer_id")
        wanted = waiting.min_position(request)
        found, is_written = await in_thread(_first_look, transfer_id)
        if is_written or wanted:
            found = await waiting.look_until(
                lambda f: (f.row is not None or not is_written) and f.position >= wanted,
                lambda: selectors.transfer(transfer_id),
                freshness.ASKED_WAIT_S if wanted else freshness.WAIT_S,
                found,
            )
        waiting.check_position(found.position, wanted, "the read model")
        if found.row is not None:
            return answer(_json(found.row), position=found.position)
        if is_written:
            raise NotYet(f"the read model does not have transfer {transfer_id} yet", transfer_id=transfer_id)
        raise TransferNotFound(f"transfer {transfer_id} does not exist", transfer_id=transfer_id)


def _first_look(transfer_id: str) -> tuple[Found[Transfer], bool]:
    """Look for a transfer; where there is none, its id, which is its command's, tells whether it is on its way."""
    found = selectors.transfer(transfer_id)
    command_id = parameters.uuid_or_none(transfer_id)
    return found, found.row is None and command_id is not None and ledger.command_exists(command_id)


def _json(row: Transfer) -> dict[str, Any]:
    return {
        "transfer_id": row.transfer_id,
        "kind": row.kind,
        "from_account_id": row.from_account_id,
        "to_account_id": row.to_account_id,
        "amount": format_minor(row.amount_minor, row.currency),
        "moved": format_minor(row.moved_minor, row.currency),
        "currency": row.currency,
        "description": row.description,
        "status": row.status,
        "expires_at": format_instant(row.expires_at) if row.expires_at else None,
        "events": row.events,
        "recorded_at": format_instant(row.recorded_at),
        "position": row.position,
        "updated_at": format_instant(row.updated_at),
        "updated_position": row.updated_position,
    }
