"""POST /api/v1/commands/batch: many commands in one request, in one transaction, an outcome each, in order.

Every element is what the single call takes, with its `type` and, if wanted, its `idempotency_key`. A
malformed element is an outcome of its own, unless `atomic` asks for all or nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from chronicle.roles import Role
from ledger.api.authentication import roles_in
from ledger.api.base import answer, in_thread
from ledger.api.body import StrictJsonParser
from ledger.api.commands import CommandView, accepted_body
from ledger.api.errors import MissingField, UnknownField
from ledger.api.problems import body_of
from ledger.api.schema import COMMAND_STATUSES, problems
from ledger.api.submissions import FORMS, submission_of
from ledger.bus.nudge import nudge
from ledger.domain.errors import InvalidField, LedgerError
from ledger.engine.execute import COMMANDS_MAX, execute
from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.errors import BatchAborted

_FIELDS = ("commands", "atomic", "dry_run")


class BatchParser(StrictJsonParser):
    # Ten thousand transfers with descriptions of ordinary length; one engine call holds no more either.
    body_bytes_max = 8 * 1024 * 1024


class BatchRequest(serializers.Serializer[Any]):
    commands = serializers.ListField(
        child=serializers.DictField(), max_length=COMMANDS_MAX, help_text="each a command with its `type`"
    )
    atomic = serializers.BooleanField(required=False, help_text="all or nothing; false")
    dry_run = serializers.BooleanField(required=False, help_text="the same outcomes, nothing written; false")


class BatchAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField(help_text="every command was accepted")
    accepted = serializers.IntegerField()
    rejected = serializers.IntegerField()
    outcomes = serializers.ListField(child=serializers.DictField(), help_text="an answer or a problem each, in order")


class BatchView(CommandView):
    parser_classes = (BatchParser,)

    @extend_schema(
        operation_id="batch",
        request=BatchRequest,
        responses={200: BatchAnswer, **problems(*COMMAND_STATUSES)},
        tags=["commands"],
    )
    async def post(self, request: Request) -> HttpResponse:
        """Execute many commands in order, independently or all-or-nothing."""
        elements, is_atomic, is_dry_run = _read(_object(request))
        actor, roles = request.user.get_username(), roles_in(request)
        submissions = [_submission(element, actor, roles) for element in elements]
        outcomes = await in_thread(_execute, submissions, is_atomic, is_dry_run)
        bodies = [_body(outcome) for outcome in outcomes]
        accepted = sum(body["success"] for body in bodies)
        return answer(
            {
                "success": accepted == len(bodies),
                "accepted": accepted,
                "rejected": len(bodies) - accepted,
                "outcomes": bodies,
            }
        )


def _object(request: Request) -> dict[str, Any]:
    assert isinstance(request.data, dict), "the parser lets only objects pass"
    return request.data


def _read(data: dict[str, Any]) -> tuple[list[Any], bool, bool]:
    for name in data:
        if name not in _FIELDS:
            raise UnknownField("a batch has no such field", field=name[:64], fields=list(_FIELDS))
    if "commands" not in data:
        raise MissingField("commands is missing", field="commands")
    commands = data["commands"]
    if not isinstance(commands, list) or not 1 <= len(commands) <= COMMANDS_MAX:
        raise InvalidField(f"commands is a list of 1 to {COMMANDS_MAX}", field="commands", commands_max=COMMANDS_MAX)
    flags = [data.get(name, False) for name in ("atomic", "dry_run")]
    for name, flag in zip(("atomic", "dry_run"), flags, strict=True):
        if not isinstance(flag, bool):
            raise InvalidField(f"{name} is true or false", field=name)
    return commands, *flags


def _submission(element: Any, actor: str, roles: Collection[Role]) -> Submission | LedgerError:
    try:
        if not isinstance(element, dict):
            raise InvalidField("a command of a batch is an object", field="commands")
        fields = dict(element)
        command_type, key = fields.pop("type", None), fields.pop("idempotency_key", None)
        if command_type is None:
            raise MissingField("type is missing", field="type")
        if not isinstance(command_type, str) or command_type not in FORMS:
            raise InvalidField("there is no such command", field="type", types=list(FORMS))
        if key is not None and not isinstance(key, str):
            raise InvalidField("idempotency_key is a string", field="idempotency_key")
        return submission_of(command_type, fields, actor, key, roles)
    except LedgerError as error:
        return error


def _execute(entries: Sequence[Submission | LedgerError], is_atomic: bool, is_dry_run: bool) -> list[Outcome]:
    """Return an outcome each; what is malformed is never shown to the engine."""
    well_formed = [entry for entry in entries if isinstance(entry, Submission)]
    if is_atomic and len(well_formed) < len(entries):
        aborted = BatchAborted("another command of this batch is malformed")
        return [Rejected(entry if isinstance(entry, LedgerError) else aborted) for entry in entries]
    executed = iter(execute(well_formed, atomic=is_atomic, dry_run=is_dry_run, on_commit=nudge) if well_formed else [])
    return [next(executed) if isinstance(entry, Submission) else Rejected(entry) for entry in entries]


def _body(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Rejected):
        return {"success": False, **body_of(outcome.error, replayed=outcome.replayed)}
    return accepted_body(outcome)
