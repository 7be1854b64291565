"""The websocket /ws/events: parameters, who may, frames out. What comes when is decided by `Subscription`.

Frames are JSON text: `{"kind":"events","events":[envelope, …]}` in position order, `{"kind":"status", …}` each
second, and, once and last, `{"kind":"error","code":…,"error":…}` followed by a close with one of these codes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer

from auditor import access_log
from auditor.backpressure import Backpressure
from auditor.feed import TooManySubscribers, feed_of_this_process, in_thread
from auditor.handshake import may_follow, user_of
from auditor.live_events import Filter, LiveEvent
from auditor.subscription import EVENTS_PER_FRAME_MAX, Subscription
from ledger.domain.events import EVENT_TYPES
from ledger.errors import LedgerError, StoreUnavailable
from ledger.store import journal

BAD_PARAMETERS, NOT_SIGNED_IN, NO_ROLE, TOO_MANY, UNAVAILABLE = 4400, 4401, 4403, 4429, 4503
# Under load events are gathered for this long, so a frame carries many; a lone one is sent at once.
FRAME_INTERVAL_S = 0.05
# How long a withdrawn token or an ended session goes on seeing events.
RECHECK_S = 30.0
# `only=status` leaves the events out, for pages that show numbers.
PARAMETERS = ("after", "event_type", "aggregate_id", "only")
AGGREGATE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
POSITION = re.compile(r"[0-9]{1,18}", re.ASCII)


class Refused(Exception):
    """The client gets this error and the connection closes with `close_code`."""

    def __init__(self, close_code: int, code: str, error: str) -> None:
        super().__init__(error)
        self.close_code, self.code, self.error = close_code, code, error


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. `after`: the position to begin after, the head when none was given."""

    after: int
    wanted: Filter
    is_status_only: bool


class EventsConsumer(AsyncWebsocketConsumer):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection; whatever fails in here ends it, with a traceback in the server's log."""
        self._pressure = Backpressure(send)
        self._serving: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as self._tasks:
            await super().__call__(scope, receive, send)
            if self._serving is not None:
                self._serving.cancel()

    async def connect(self) -> None:
        await self.accept()
        self._serving = self._tasks.create_task(self._serve())

    async def _serve(self) -> None:
        try:
            user = await self._authorised_user()
            request = await self._request()
            wanted = request.wanted
            if wanted.aggregate_id:
                path = f"{self.scope['path']}?{self.scope['query_string'].decode()}"
                await in_thread(access_log.record, user, access_log.ACCOUNT, wanted.aggregate_id, path)
            feed = feed_of_this_process()
            async with feed.running(), asyncio.TaskGroup() as group:
                if not request.is_status_only:
                    group.create_task(self._send_events(Subscription(feed, request.after, wanted)))
                group.create_task(self._send_status())
                group.create_task(self._recheck())
        except* Refused as group_of_refusals:
            await self._refuse(_first(group_of_refusals))
        except* TooManySubscribers as group_of_errors:
            await self._refuse(_refusal(TOO_MANY, _first(group_of_errors)))
        except* StoreUnavailable as group_of_errors:
            await self._refuse(_refusal(UNAVAILABLE, _first(group_of_errors)))

    async def _authorised_user(self) -> Any:
        user = await user_of(self.scope)
        if not user.is_authenticated:
            raise Refused(NOT_SIGNED_IN, "not_signed_in", "Sign in, or send Authorization: Token …")
        if not await may_follow(user):
            raise Refused(NO_ROLE, "no_role", "Following events takes the role of an auditor or an operator.")
        return user

    async def _request(self) -> Request:
        given = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if unknown := given.keys() - set(PARAMETERS):
            raise _bad(f"unknown parameter {min(unknown)!r}; there are {', '.join(PARAMETERS)}")
        after, event_type, aggregate_id, only = (given.get(name, [""])[-1] for name in PARAMETERS)
        if only not in ("", "status"):
            raise _bad("only is status, or left out")
        if event_type and event_type not in EVENT_TYPES:
            raise _bad(f"event_type is one of {', '.join(EVENT_TYPES)}")
        if aggregate_id and not AGGREGATE_ID.fullmatch(aggregate_id):
            raise _bad("aggregate_id is 1 to 64 of A-Z a-z 0-9 . _ : -")
        if after and not POSITION.fullmatch(after):
            raise _bad("after is a position, a whole number from 0")
        head = await in_thread(journal.head)
        if after and int(after) > head.position:
            raise _bad(f"after is {after}, and the journal ends at {head.position}: is this the same ledger?")
        return Request(int(after) if after else head.position, Filter(event_type, aggregate_id), only == "status")

    async def _send_events(self, subscription: Subscription) -> None:
        while True:
            await self._pressure.relieved()
            batch = await subscription.next_batch()
            await self.send(text_data=events_frame(batch))
            if len(batch) < EVENTS_PER_FRAME_MAX:
                await asyncio.sleep(FRAME_INTERVAL_S)

    async def _send_status(self) -> None:
        while True:
            status = await feed_of_this_process().next_status()
            await self._pressure.relieved()
            await self.send(text_data=orjson.dumps({"kind": "status", **status.as_json()}).decode())

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            await self._authorised_user()

    async def _refuse(self, refusal: Refused) -> None:
        frame = {"kind": "error", "code": refusal.code, "error": refusal.error}
        await self.send(text_data=orjson.dumps(frame).decode())
        await self.close(code=refusal.close_code)


def events_frame(events: Sequence[LiveEvent]) -> str:
    return '{"kind":"events","events":[' + b",".join(event.body for event in events).decode() + "]}"


def _bad(error: str) -> Refused:
    return Refused(BAD_PARAMETERS, "bad_parameters", error)


def _refusal(close_code: int, error: LedgerError) -> Refused:
    return Refused(close_code, error.code, str(error))


def _first(group: BaseExceptionGroup[Any]) -> Any:
    """Return one of the errors of a group, which may be nested."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
