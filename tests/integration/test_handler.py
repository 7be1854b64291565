"""Django's handler without its threads: asked as daphne asks it, and every request's end is told once, where it should."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started
from django.db import connections
from django.db.backends.signals import connection_created

from auditor.models import AccessLogEntry
from chronicle.handler import Handler
from chronicle.roles import Role
from tests.api_world import API, new_token, new_user
from tests.ledger_world import history, new_account
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("database")
ANSWER_S_MAX = 30


class Exchange:
    """One request: what the handler is told, and what it answers."""

    def __init__(self, method: str, path: str, *, token: str = "", body: Any = None, query: bytes = b"") -> None:
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        content = b"" if body is None else json.dumps(body).encode()
        self.received.put_nowait({"type": "http.request", "body": content, "more_body": False})
        headers = {b"host": b"localhost", b"content-type": b"application/json", b"authorization": f"Token {token}"}
        self.scope = {
            "type": "http", "method": method, "path": path, "query_string": query, "root_path": "", "scheme": "http",
            "headers": [(n, v if isinstance(v, bytes) else v.encode()) for n, v in headers.items() if token or n[:1] == b"h"],
            "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 2],
        }  # fmt: skip
        self.sent: list[dict[str, Any]] = []

    async def run(self) -> Any:
        """Return status and body."""
        async with asyncio.timeout(ANSWER_S_MAX):
            await Handler()(self.scope, self.received.get, self.send)
        return self.sent[0]["status"], b"".join(message.get("body", b"") for message in self.sent[1:])

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.received.put_nowait({"type": "http.disconnect"})  # as daphne does when it has written all of it


class Heard:
    """Which threads were told of requests, and what connections were opened meanwhile."""

    def __init__(self) -> None:
        self.started: list[threading.Thread] = []
        self.finished: list[threading.Thread] = []
        self.opened: list[tuple[threading.Thread, Any]] = []

    def start(self, **_: object) -> None:
        self.started.append(threading.current_thread())

    def finish(self, **_: object) -> None:
        self.finished.append(threading.current_thread())

    def open(self, connection: Any, **_: object) -> None:
        self.opened.append((threading.current_thread(), connection))


@pytest.fixture
def heard() -> Iterator[Heard]:
    found = Heard()
    pairs = ((request_started, found.start), (request_finished, found.finish), (connection_created, found.open))
    for signal, receiver in pairs:
        signal.connect(receiver)
    yield found
    for signal, receiver in pairs:
        signal.disconnect(receiver)


async def signed_in(role: Role) -> str:
    return await sync_to_async(lambda: new_token(new_user(role)))()


async def test_neither_a_command_nor_a_read_starts_a_thread(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await sync_to_async(new_account)()
    operator, auditor = await signed_in(Role.OPERATOR), await signed_in(Role.AUDITOR)
    begun: list[str] = []
    start = threading.Thread.start

    def noted(self: threading.Thread) -> None:
        begun.append(self.name)
        start(self)

    async def ask_all() -> None:
        body = {"account_id": account_id, "amount": "1"}
        status, _ = await Exchange("POST", f"{API}/commands/deposit", token=operator, body=body).run()
        assert status == 201
        query = b"timestamp=2100-01-01T00:00:00Z"
        status, _ = await Exchange("GET", f"{API}/accounts/{account_id}/balance-at", token=auditor, query=query).run()
        assert status == 200
        assert (await Exchange("GET", "/healthz").run())[0] == 200

    await ask_all()  # from then on the threads and connections that live as long as the process are there
    monkeypatch.setattr(threading.Thread, "start", noted)
    heard.opened.clear()
    for _ in range(5):
        await ask_all()
    assert not [name for name in begun if not name.startswith(("reader", "portal"))], "executors may still be growing"
    assert {thread.name for thread in heard.started + heard.finished} == {threading.current_thread().name}
    assert len(heard.started) == len(heard.finished) == 18
    assert (await sync_to_async(history)(account_id))[-1][2] == 6_00
    assert await AccessLogEntry.objects.filter(subject_id=account_id).acount() == 6


async def test_a_page_has_a_thread_of_its_own_and_its_connections_are_looked_after_there(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    cookie = [(b"cookie", b"sessionid=abcdefghijklmnopqrstuvwxyz012345")]  # to be looked up in the database
    page = Exchange("GET", "/admin/")
    page.scope["headers"] += cookie
    status, _ = await page.run()
    assert status == 302
    threads = {thread for thread, _ in heard.opened}
    assert threads == set(heard.finished)
    assert threading.current_thread() not in threads
    assert heard.opened
    assert [connection.connection for _, connection in heard.opened] == [None] * len(heard.opened), "closed at its end"
    await eventually(lambda: not any(thread.is_alive() for thread in threads), "the thread has ended")


async def test_whoever_leaves_ends_what_is_done_for_them(heard: Heard) -> None:
    account_id, token = await sync_to_async(new_account)(), await signed_in(Role.AUDITOR)
    query = b"timestamp=2100-01-01T00:00:00Z&min_position=9000000000"
    waiting = Exchange("GET", f"{API}/accounts/{account_id}/balance-at", token=token, query=query)
    running = asyncio.create_task(waiting.run())
    await eventually(lambda: bool(heard.started), "it has begun")
    waiting.received.put_nowait({"type": "http.disconnect"})
    with pytest.raises(IndexError):
        await running  # nothing was sent
    assert not running.cancelled()
    assert len(heard.finished) == 1


async def test_a_server_that_stops_cancels_a_request_and_is_not_kept(heard: Heard) -> None:
    account_id, token = await sync_to_async(new_account)(), await signed_in(Role.AUDITOR)
    query = b"timestamp=2100-01-01T00:00:00Z&min_position=9000000000"
    running = asyncio.create_task(
        Exchange("GET", f"{API}/accounts/{account_id}/balance-at", token=token, query=query).run()
    )
    await eventually(lambda: bool(heard.started), "it has begun")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(heard.finished) == 1


async def test_what_is_no_request_is_refused_and_its_end_is_told_as_well(heard: Heard) -> None:
    status, _ = await Exchange("GET", "/healthz", query=b"\xff").run()
    assert status == 400
    assert len(heard.finished) == 1
    gone = Exchange("GET", "/healthz")
    gone.received.get_nowait()
    gone.received.put_nowait({"type": "http.disconnect"})
    with pytest.raises(IndexError):
        await gone.run()  # nothing was asked, nothing is sent
    assert len(heard.started) == 1
