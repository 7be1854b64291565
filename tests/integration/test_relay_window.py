"""The publishing window: how far the relay goes ahead of what NATS has acknowledged, and what becomes of it then."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from nats.js.errors import APIError

from ledger.bus import publisher as publishing
from ledger.bus.envelope import STREAM, encode, subject_of
from ledger.bus.jetstream import connected
from ledger.bus.publisher import Publisher
from ledger.domain.commands import Transfer
from ledger.engine.execute import execute
from ledger.store import journal
from ledger.store.connection import dedicated_connection
from tests.ledger_world import new_account, submission
from tests.servers import Servers

pytestmark = pytest.mark.usefixtures("clean_stores")
BATCH, IN_FLIGHT = 10, 40
DEADLINE_S = 60


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> int:
    """A journal of several windows; return its head."""
    monkeypatch.setattr(publishing, "BATCH_MAX", BATCH)
    monkeypatch.setattr(publishing, "IN_FLIGHT_MAX", IN_FLIGHT)
    source, target = new_account(1000), new_account(0)
    execute([submission(Transfer(source, target, Decimal(1))) for _ in range(100)])
    with dedicated_connection() as connection:
        return journal.sequence(connection, None).head.position


@asynccontextmanager
async def publisher_at_work() -> AsyncIterator[tuple[Publisher, asyncio.Event]]:
    """Yield a publisher that has looked at the stream, and what it calls when something is refused."""
    failed = asyncio.Event()
    async with connected("test") as client:
        publisher = Publisher(client, on_failure=failed.set)
        await publisher.start()
        await publisher.synchronise()
        async with asyncio.timeout(DEADLINE_S):
            yield publisher, failed


async def stream_holds(events: int) -> bool:
    async with connected("test") as client:
        return int((await client.jetstream().stream_info(STREAM)).state.last_seq) == events


async def test_no_more_is_handed_over_than_the_window_holds_while_nats_is_silent(
    head: int, stack: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "ACK_TIMEOUT_S", 0.5)
    async with publisher_at_work() as (publisher, _):
        os.kill(stack.nats_pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await publisher.publish_through(head)
            assert (publisher.published, publisher.sent) == (0, IN_FLIGHT + BATCH)
            with pytest.raises(TimeoutError):  # until somebody has looked at the stream
                await publisher.publish_through(head)
            assert publisher.sent == IN_FLIGHT + BATCH
        finally:
            os.kill(stack.nats_pid, signal.SIGCONT)
        monkeypatch.setattr(publishing, "ACK_TIMEOUT_S", DEADLINE_S)
        await publisher.synchronise()
        await publisher.publish_through(head)
        await publisher.settle()
        assert publisher.published == head
    assert await stream_holds(head)


async def test_an_acknowledgement_moves_the_window_on(head: int) -> None:
    assert head > 2 * (IN_FLIGHT + BATCH)
    async with publisher_at_work() as (publisher, _):
        await publisher.publish_through(head)
        assert publisher.sent == head
        assert head - publisher.published <= IN_FLIGHT
        await publisher.settle()
        assert publisher.published == head
    assert await stream_holds(head)


async def test_what_another_relay_was_first_with_is_refused_and_the_rest_enters_in_its_place(head: int) -> None:
    entries = journal.read(0, head)
    async with publisher_at_work() as (publisher, failed), connected("another relay") as other:
        js = other.jetstream()
        for entry in entries[: BATCH + 2]:
            await js.publish(subject_of(entry.event.event_type), encode(entry))
        with pytest.raises(APIError, match="wrong last sequence"):
            await publisher.publish_through(head)
        assert failed.is_set()
        await publisher.synchronise()
        assert publisher.sent == publisher.published >= BATCH + 2
        await publisher.publish_through(head)
        await publisher.settle()
        bodies = [(await js.get_msg(STREAM, entry.position)).data for entry in entries]
    assert bodies == [encode(entry) for entry in entries]
    assert await stream_holds(head)
