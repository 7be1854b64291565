"""Websockets while the portal's database is away, and while a client is: neither ends in silence or in a traceback."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from autobahn.exception import Disconnected
from channels.testing import WebsocketCommunicator
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from auditor import consumers
from auditor.consumers import EventsConsumer
from auditor.jobs import consumer as jobs
from auditor.jobs.consumer import JobConsumer
from auditor.jobs.work import VERIFY
from auditor.models import Job
from chronicle.roles import Role
from tests.api_world import new_token, new_user

Headers = list[tuple[bytes, bytes]]
DEADLINE_S = 60


@pytest.fixture
def token_header(clean_stores: None) -> Headers:
    return [(b"authorization", f"Token {new_token(new_user(Role.AUDITOR))}".encode())]


@pytest.fixture
def job(clean_stores: None) -> Job:
    now = timezone.now()
    return Job.objects.create(kind=VERIFY, started_by=new_user(Role.AUDITOR), started_at=now, heard_at=now)


def away(error: Exception) -> Any:
    async def fail(*_: object) -> None:
        raise error

    return fail


async def refusal(line: WebsocketCommunicator) -> tuple[int, str]:
    frame = orjson.loads(await line.receive_from(DEADLINE_S))
    assert (frame["kind"], bool(frame["error"])) == ("error", True)
    close = await line.receive_output(DEADLINE_S)
    assert close["type"] == "websocket.close"
    return close["code"], frame["code"]


@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("closed")])
async def test_who_cannot_be_known_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch, token_header: Headers, error: Exception
) -> None:
    monkeypatch.setattr(consumers, "user_of", away(error))
    line = WebsocketCommunicator(EventsConsumer.as_asgi(), "/ws/events", token_header)
    assert await line.connect(DEADLINE_S) == (True, None)
    assert await refusal(line) == (4503, "database_unavailable")
    await line.disconnect()


async def test_a_query_string_of_any_bytes_is_answered_and_the_look_recorded(token_header: Headers) -> None:
    line = WebsocketCommunicator(EventsConsumer.as_asgi(), "/ws/events", token_header)
    line.scope["query_string"] = b"aggregate_id=somebody&text=\xff"
    assert await line.connect(DEADLINE_S) == (True, None)
    assert orjson.loads(await line.receive_from(DEADLINE_S))["kind"] == "status"
    await line.disconnect()


async def test_a_job_that_can_no_longer_be_followed_says_so(
    monkeypatch: pytest.MonkeyPatch, token_header: Headers, job: Job
) -> None:
    line = WebsocketCommunicator(JobConsumer.as_asgi(), f"/ws/jobs/{job.pk}", token_header)
    line.scope["url_route"] = {"kwargs": {"job_id": job.pk}}
    assert await line.connect(DEADLINE_S) == (True, None)
    assert orjson.loads(await line.receive_from(DEADLINE_S))["kind"] == "job"
    monkeypatch.setattr(jobs, "in_thread", away(OperationalError("away")))
    assert await refusal(line) == (4503, "database_unavailable")
    await line.disconnect()


async def test_a_client_that_went_while_it_was_sent_to_leaves_no_traceback(token_header: Headers) -> None:
    """As daphne has it: `send` fails first, and the event that says why comes after."""
    is_sent_to = asyncio.Event()
    connected = False

    async def receive() -> dict[str, Any]:
        nonlocal connected
        if not connected:
            connected = True
            return {"type": "websocket.connect"}
        await is_sent_to.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            is_sent_to.set()
            raise Disconnected("Attempt to send on a closed protocol")

    scope = {"type": "websocket", "path": "/ws/events", "query_string": b"", "headers": token_header}
    async with asyncio.timeout(DEADLINE_S):
        await EventsConsumer.as_asgi()(scope, receive, send)
    assert is_sent_to.is_set()
