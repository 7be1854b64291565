"""The command calls: POST /api/v1/commands/<type>. One request, one command, one answer.

Malformed requests end in `submission_of` and leave no trace; the rest is decided by the engine, together
with whatever other commands arrive at the same moment. A dry run is decided alone and written nowhere.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from ledger.api import parameters
from ledger.api.authentication import MayCommand, roles_in
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.problems import REPLAYED_HEADER, problem
from ledger.api.schema import command as describe
from ledger.api.submissions import submission_of
from ledger.domain.account import AGGREGATE_TYPE
from ledger.domain.errors import InvalidField
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.engine import batching
from ledger.engine import execute as engine
from ledger.engine.submission import Accepted, Rejected

KEY_HEADER = "HTTP_IDEMPOTENCY_KEY"
_YES, _NO = ("1", "true"), ("0", "false")


class CommandView(ApiView):
    permission_classes = (MayCommand,)


async def execute(request: Request, command_type: str) -> HttpResponse:
    """Execute the command a request holds, or only try it, and answer with what became of it."""
    is_asked_in_query = parameters.choice(request, "dry_run", (*_YES, *_NO)) in _YES
    fields = dict(request.data)
    in_body = fields.pop("dry_run", False)
    actor, key = request.user.get_username(), request._request.META.get(KEY_HEADER)
    submission = submission_of(command_type, fields, actor, key, roles_in(request))
    if not isinstance(in_body, bool):
        raise InvalidField("dry_run is true or false", field="dry_run")
    is_dry_run = in_body or is_asked_in_query
    if is_dry_run:
        # A call of its own: what is only tried must not be seen by the commands that are meant.
        (outcome,) = await in_thread(partial(engine.execute, [submission], dry_run=True))
    else:
        outcome = await batching.submit(submission)
    if isinstance(outcome, Rejected):
        return problem(outcome.error, replayed=outcome.replayed)
    headers = {REPLAYED_HEADER: "true"} if outcome.replayed else None
    if is_dry_run:
        return answer({**accepted_body(outcome), "dry_run": True}, headers=headers)
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
                "held": format_minor(event.state["held_minor"], event.state["currency"]),
                "currency": event.state["currency"],
                "status": event.state["status"],
                "version": event.version,
            }
            for event in outcome.events
            if event.aggregate_type == AGGREGATE_TYPE
        },
        "replayed": outcome.replayed,
    }
    # Only of a command that is about one: closing an account may release several.
    names = ("transfer_id", "hold_id") if len(outcome.events) == 1 else ("transfer_id",)
    body |= {name: first.data[name] for name in names if first.data.get(name)}
    return body


def _view(command_type: str, meaning: str) -> type[CommandView]:
    """Return the view of one command; `meaning` is what the OpenAPI document says of it."""

    async def post(self: CommandView, request: Request) -> HttpResponse:
        return await execute(request, command_type)

    post.__doc__ = meaning
    name = command_type.title().replace("-", "") + "View"
    return type(name, (CommandView,), {"post": describe(command_type)(post), "__doc__": meaning})


# In the order in which the OpenAPI document lists them.
VIEWS = {
    command_type: _view(command_type, meaning)
    for command_type, meaning in {
        "create-account": "Open an account, with or without money in it.",
        "deposit": "Bring money into an account from outside the ledger.",
        "withdraw": "Take money out of an account, to outside the ledger.",
        "transfer": "Move money from one account to another of the same currency, at once or not at all.",
        "multi-transfer": "Move money from several accounts to several, balanced in every currency.",
        "exchange": "Move money between accounts of two currencies; the rate goes on record.",
        "freeze-account": "Stop all movement of an account.",
        "unfreeze-account": "Let a frozen account move again.",
        "close-account": "Close an empty account for good.",
        "set-overdraft-limit": "Say how far below zero an account may go.",
        "place-hold": "Reserve money of an account.",
        "capture-hold": "Take held money, all or a part; the rest is released.",
        "release-hold": "Set held money free.",
        "start-transfer": "Begin a transfer in steps: reserve now, be settled or given up within moments.",
        "reverse": "Take back what a command moved, all of it or a part, with the opposite events.",
    }.items()
}
