"""Django's ASGI handler, without the two threads that it starts and ends for each request.

Django tells a request's beginning and end (`request_started`, `request_finished`) in a thread of the request's own,
because those who listen look after that thread's database connections; then a second thread ends the first. Our
asynchronous views have nothing there: what asks a database runs in threads that live as long as the process, whose
connections `chronicle.kept_connections` looks after. So a request has a thread of its own only when something in it is
synchronous (a page of the portal, a session that is saved), and then its end is told there, as Django does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_finished, request_started
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix


class Handler(ASGIHandler):
    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response: HttpResponseBase | None = None
        try:
            set_script_prefix(get_script_prefix(scope))
            # Told here, in the loop's thread, which can have no connection of Django's (async_unsafe); and the thread
            # that the request may come to use is new, so that there is nothing in it to look after.
            request_started.send(sender=type(self), scope=scope)
            request, response = self.create_request(scope, body)
            if request is None:
                assert response is not None, "what is no request is refused"
                await self.send_response(response, send)
            else:
                async with _WhileConnected(receive):
                    response = await self.run_get_response(request)
                    await self.send_response(response, send)
        finally:
            # Closing a response tells the request's end.
            await _in_thread_of_request(response.close if response else partial(request_finished.send, type(self)))
            body.close()


class _WhileConnected:
    """Ends what is done in its block when the client leaves, in the way of asyncio.timeout."""

    def __init__(self, receive: Callable[[], Any]) -> None:
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._has_left = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        # After the body the server has one thing to say: that the client has left, or that all of the answer has.
        self._listening = asyncio.create_task(self._receive())
        self._listening.add_done_callback(self._leave)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        task, self._task = self._task, None
        self._listening.cancel()
        if task is None or not self._has_left:
            return False
        task.uncancel()
        return kind is asyncio.CancelledError

    def _leave(self, _: object) -> None:
        if self._task is not None:
            self._has_left = True
            self._task.cancel()


async def _in_thread_of_request(end: Callable[[], Any]) -> None:
    context = SyncToAsync.thread_sensitive_context.get()
    if context in SyncToAsync.context_to_thread_executor:
        await sync_to_async(end)()
    else:
        end()
