"""The command calls: POST /api/v1/commands/<type>. One request, one command, one answer.

Malformed requests end in `submission_of` and leave no trace; the rest is decided by the engine, together
with whatever other commands arrive at the same moment.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger.api.authentication import MayCommand
from ledger.api.base import ApiView, answer
from ledger.api.problems import REPLAYED_HEADER, problem
from ledger.api.schema import command as describe
from ledger.api.submissions import submission_of
from ledger.domain.account import AGGREGATE_TYPE
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.engine import batching
from ledger.engine.submission import Accepted, Rejected

KEY_HEADER = "Idempotency-Key"


class CommandView(ApiView):
    permission_classes = (MayCommand,)


async def execute(request: Request, command_type: str) -> HttpResponse:
    """Execute the command a request holds and answer with what became of it."""
    submission = submission_of(command_type, request.data, request.user.get_username(), request.headers.get(KEY_HEADER))
    outcome = await batching.submit(submission)
    if isinstance(outcome, Rejected):
        return problem(outcome.error, replayed=outcome.replayed)
    headers = {REPLAYED_HEADER: "true"} if outcome.replayed else None
    return answer(accepted_body(outcome), 201, headers=headers)


def accepted_body(outcome: Accepted) -> dict[str, Any]:
    """Return what an accepted command is answered with; a replay differs in `replayed` alone."""
    first = outcome.events[0]
    body: dict[str, Any] = {
        "success": True,
        "command_id": str(outcome.command_id),
        "event_id": str(first.event_id),
        "recorded_at": format_instant(first.recorded_at),
        "effective_at": format_instant(first.effective_at),
        "events": [
            {
                "event_id": str(event.event_id),
                "type": event.event_type,
                "aggregate_id": event.aggregate_id,
                "version": event.version,
            }
            for event in outcome.events
        ],
        # The last event of an account overwrites those before it: what is left is the balance after the command.
        "balances": {
            event.aggregate_id: {
                "balance": format_minor(event.state["balance_minor"], event.state["currency"]),
                "currency": event.state["currency"],
                "version": event.version,
            }
            for event in outcome.events
            if event.aggregate_type == AGGREGATE_TYPE
        },
        "replayed": outcome.replayed,
    }
    if transfer_id := first.data.get("transfer_id"):
        body["transfer_id"] = transfer_id
    return body


class CreateAccountView(CommandView):
    @describe("create-account")
    async def post(self, request: Request) -> HttpResponse:
        """Open an account, with or without money in it."""
        return await execute(request, "create-account")


class DepositView(CommandView):
    @describe("deposit")
    async def post(self, request: Request) -> HttpResponse:
        """Bring money into an account from outside the ledger."""
        return await execute(request, "deposit")


class WithdrawView(CommandView):
    @describe("withdraw")
    async def post(self, request: Request) -> HttpResponse:
        """Take money out of an account, to outside the ledger."""
        return await execute(request, "withdraw")


class TransferView(CommandView):
    @describe("transfer")
    async def post(self, request: Request) -> HttpResponse:
        """Move money from one account to another of the same currency, at once or not at all."""
        return await execute(request, "transfer")
