"""The nudge: a hint to the relay that may be lost and never costs its sender anything."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import nats
import pytest
from django.conf import settings

from chronicle.stack.ports import ReservedPort
from ledger.bus.envelope import NUDGE_SUBJECT
from ledger.bus.nudge import Nudger
from tests.waiting import wait_for


@pytest.fixture
def nudger(nats_url: str) -> Iterator[Nudger]:
    made = Nudger()
    yield made
    made.stop()


class Listener:
    async def __aenter__(self) -> Listener:
        self.count, self.heard = 0, asyncio.Event()
        self._client = await nats.connect(settings.NATS_URL)

        async def note(_: object) -> None:
            self.count += 1
            self.heard.set()

        await self._client.subscribe(NUDGE_SUBJECT, cb=note)
        await self._client.flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def hear(self) -> None:
        await asyncio.wait_for(self.heard.wait(), 60)
        self.heard.clear()


async def test_a_nudge_arrives(nudger: Nudger) -> None:
    async with Listener() as listener:
        nudger.nudge()
        await listener.hear()
        nudger.nudge()
        await listener.hear()


async def test_many_nudges_are_few_messages_and_the_last_is_heard(nudger: Nudger) -> None:
    async with Listener() as listener:
        for _ in range(1_000):
            nudger.nudge()
        await listener.hear()
        assert listener.count < 1_000
        await asyncio.to_thread(nudger.nudge)
        await listener.hear()


def test_nudging_without_nats_costs_nothing(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "NATS_URL", f"nats://127.0.0.1:{ReservedPort().release()}")
    nudger = Nudger()
    started = time.monotonic()
    for _ in range(1_000):
        nudger.nudge()
    assert time.monotonic() - started < 10.0, "a hundredth of a second each: nobody waited for a connection"
    nudger.stop()


def test_stopping_ends_the_thread_and_silences_the_nudge(nats_url: str) -> None:
    before = nudging_threads()
    nudger = Nudger()
    nudger.nudge()
    started = nudging_threads() - before
    assert started
    nudger.stop()
    nudger.stop()
    nudger.nudge()
    wait_for(lambda: not started & nudging_threads(), "the thread to end")


def nudging_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "nudge"}
