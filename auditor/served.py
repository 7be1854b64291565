"""A websocket that one task serves: whatever fails in it ends the connection, and a client never waits for nothing.

What may happen is said in a last frame, `{"kind":"error","code":…,"error":…}`, before a close with a code of
`auditor.request`; a defect closes with 1011 and leaves its traceback in the server's log.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import Any

import orjson
from autobahn.exception import Disconnected
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import InterfaceError, OperationalError

from auditor.request import UNAVAILABLE, Refused
from ledger.api.errors import DatabaseUnavailable


class ServedConsumer(AsyncWebsocketConsumer):
    def __init__(self) -> None:
        super().__init__()
        self._serving: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as self._group:
            await super().__call__(scope, receive, send)
            for task in self._serving:
                task.cancel()

    async def connect(self) -> None:
        await self.accept()
        self._serving.append(self._group.create_task(self._serve_to_the_end()))

    @abstractmethod
    async def serve(self) -> None:
        """Send frames until there is nothing more to send. Raises: Refused."""

    async def send_json(self, frame: dict[str, Any]) -> None:
        await self.send(text_data=orjson.dumps(frame).decode())

    async def _serve_to_the_end(self) -> None:
        try:
            await self.serve()
        except* Refused as refusals:
            await self._refuse(first_of(refusals))
        except* (OperationalError, InterfaceError):
            # Who this is, and how far a job is, only the portal's database knows.
            error = DatabaseUnavailable("the portal's database does not answer")
            await self._refuse(Refused(UNAVAILABLE, error.code, str(error)))
        except* Disconnected:
            pass  # nobody is left to be told: the client has gone, and the event that says so is on its way

    async def _refuse(self, refusal: Refused) -> None:
        with suppress(Disconnected):
            await self.send_json({"kind": "error", "code": refusal.code, "error": refusal.error})
            await self.close(code=refusal.close_code)


def first_of(group: BaseExceptionGroup[Any]) -> Any:
    """Return one of the errors of a group, which may be nested."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
