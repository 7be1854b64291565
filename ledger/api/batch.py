"""POST /api/v1/commands/batch: many commands in one request, an outcome each, in order.

Every element is what the single call takes, with its `type` and, if wanted, its `idempotency_key`. A
malformed element is an outcome of its own, unless `atomic` asks for all or nothing. Reading and answering ten thousand
of them takes seconds, so all of it is done in threads of its own: the event loop is everybody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from ledger.api.authentication import roles_in
from ledger.api.base import answer, with_connections
from ledger.api.body import StrictJsonParser
from ledger.api.commands import KEY_HEADER, CommandView
from ledger.api.elements import execute_elements, outcome_body, submission_of_element
from ledger.api.errors import InvalidIdempotencyKey, MissingField, UnknownField
from ledger.api.schema import BATCH_KEY, COMMAND_STATUSES, problems
from ledger.api.submissions import IDEMPOTENCY_KEY_MAX, is_key
from ledger.domain.errors import InvalidField
from ledger.engine.execute import COMMANDS_MAX
from ledger.errors import Overloaded

# Each keeps a processor busy; more at once would be slower for everybody, and none of them sooner done.
BATCHES_AT_ONCE = 2
# With the bodies they bring, some 400 MB at worst; whoever comes after that is better told to come again.
BATCHES_WAITING_MAX = 8
_workers = ThreadPoolExecutor(BATCHES_AT_ONCE, thread_name_prefix="batch")
_room = BoundedSemaphore(BATCHES_AT_ONCE + BATCHES_WAITING_MAX)
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
    dry_run = serializers.BooleanField(help_text="true when nothing was written")
    outcomes = serializers.ListField(child=serializers.DictField(), help_text="an answer or a problem each, in order")


class BatchView(CommandView):
    parser_classes = (BatchParser,)

    @extend_schema(
        operation_id="batch",
        request=BatchRequest,
        responses={200: BatchAnswer, **problems(*COMMAND_STATUSES)},
        parameters=[BATCH_KEY],
        tags=["commands"],
    )
    async def post(self, request: Request) -> HttpResponse:
        """Execute many commands in order, independently or all-or-nothing."""
        return await _in_turn(partial(_execute, request))


async def _in_turn(work: Callable[[], HttpResponse]) -> HttpResponse:
    """Do it in one of the threads for batches. Raises: Overloaded."""
    if not _room.acquire(blocking=False):
        raise Overloaded(f"{BATCHES_WAITING_MAX} batches are waiting already")
    done = _workers.submit(with_connections, work)
    done.add_done_callback(lambda _: _room.release())  # also when whoever asked has gone before its turn
    return await asyncio.wrap_future(done)


def _execute(request: Request) -> HttpResponse:
    assert isinstance(request.data, dict), "the parser lets only objects pass"
    elements, is_atomic, is_dry_run = _read(request.data)
    actor, roles = request.user.get_username(), roles_in(request)
    if (key := request.META.get(KEY_HEADER)) is not None:
        elements = _keyed(elements, key, actor)
    entries = [submission_of_element(element, actor, roles) for element in elements]
    outcomes = execute_elements(entries, is_atomic=is_atomic, is_dry_run=is_dry_run)
    bodies = [outcome_body(outcome) for outcome in outcomes]
    accepted = sum(body["success"] for body in bodies)
    return answer(
        {
            "success": accepted == len(bodies),
            "accepted": accepted,
            "rejected": len(bodies) - accepted,
            "dry_run": is_dry_run,
            "outcomes": bodies,
        }
    )


def _keyed(elements: list[Any], key: str, actor: str) -> list[Any]:
    """Give every element that brings no key one of its own: the batch's, and its place in it."""
    if not is_key(key, actor) or not is_key(f"{key}/{COMMANDS_MAX - 1}", actor):
        length_max = IDEMPOTENCY_KEY_MAX - len(f"/{COMMANDS_MAX - 1}")
        raise InvalidIdempotencyKey(f"a batch's Idempotency-Key is 1 to {length_max} visible ASCII characters")
    return [
        {**element, "idempotency_key": f"{key}/{index}"}
        if isinstance(element, dict) and element.get("idempotency_key") is None
        else element
        for index, element in enumerate(elements)
    ]


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
