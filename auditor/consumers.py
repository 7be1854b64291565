"""The websocket /ws/events: parameters, who may, frames out. What comes when is decided by `Subscription`.

Frames are JSON text: `{"kind":"events","events":[envelope, …]}` in position order, `{"kind":"status", …}` each
second, and, once and last, `{"kind":"error","code":…,"error":…}` before a close with a code of `auditor.request`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from auditor import access_log
from auditor.backpressure import Backpressure
from auditor.feed import TooManySubscribers, feed_of_this_process
from auditor.handshake import may_follow, user_of
from auditor.live_events import LiveEvent
from auditor.request import NO_ROLE, NOT_SIGNED_IN, TOO_MANY, UNAVAILABLE, Refused, parse
from auditor.served import ServedConsumer, first_of
from auditor.subscription import EVENTS_PER_FRAME_MAX, Subscription
from auditor.threads import in_thread
from ledger.errors import LedgerError, StoreUnavailable
from ledger.store import journal

# Under load events are gathered for this long, so a frame carries many; a lone one is sent at once.
FRAME_INTERVAL_S = 0.05
# How long a withdrawn token or an ended session goes on seeing events.
RECHECK_S = 30.0


class EventsConsumer(ServedConsumer):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._pressure = Backpressure(send)
        await super().__call__(scope, receive, send)

    async def serve(self) -> None:
        try:
            user = await self._authorised_user()
            head = await in_thread(journal.head)
            request = parse(self.scope["query_string"], head.position)
            if request.wanted.aggregate_id:
                path = f"{self.scope['path']}?{self.scope['query_string'].decode(errors='replace')}"
                await in_thread(access_log.record, user, access_log.ACCOUNT, request.wanted.aggregate_id, path)
            feed = feed_of_this_process()
            async with feed.running(), asyncio.TaskGroup() as group:
                subscription = None if request.is_status_only else Subscription(feed, request.after, request.wanted)
                if subscription is not None:
                    group.create_task(self._send_events(subscription))
                group.create_task(self._send_status(subscription))
                group.create_task(self._recheck())
        except* TooManySubscribers as errors:
            raise _refusal(TOO_MANY, first_of(errors)) from None
        except* StoreUnavailable as errors:
            raise _refusal(UNAVAILABLE, first_of(errors)) from None

    async def _authorised_user(self) -> Any:
        user = await user_of(self.scope)
        if not user.is_authenticated:
            raise Refused(NOT_SIGNED_IN, "not_signed_in", "Sign in, or send Authorization: Token …")
        if not await may_follow(user):
            raise Refused(NO_ROLE, "no_role", "Following events takes the role of an auditor or an operator.")
        return user

    async def _send_events(self, subscription: Subscription) -> None:
        while True:
            await self._pressure.relieved()
            batch = await subscription.next_batch()
            await self.send(text_data=events_frame(batch))
            subscription.note_sent()
            if len(batch) < EVENTS_PER_FRAME_MAX:
                await asyncio.sleep(FRAME_INTERVAL_S)

    async def _send_status(self, subscription: Subscription | None) -> None:
        while True:
            status = await feed_of_this_process().next_status()
            await self._pressure.relieved()
            position = None if subscription is None else subscription.sent_position
            frame = {"kind": "status", "position": position, **status.as_json()}
            await self.send_json(frame)

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            await self._authorised_user()


def events_frame(events: Sequence[LiveEvent]) -> str:
    return '{"kind":"events","events":[' + b",".join(event.body for event in events).decode() + "]}"


def _refusal(close_code: int, error: LedgerError) -> Refused:
    return Refused(close_code, error.code, str(error))
