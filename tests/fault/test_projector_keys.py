"""The portal's database, which holds the keys of texts, hangs: the projector waits for it, and its loop does not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings

from ledger.subjects import connection as portal
from ledger.subjects import keys
from ledger.subjects.connection import KeysUnavailable
from projections import runner
from projections.runner import run_projections
from tests.read_world import (
    Background,
    assert_read_model_is_right,
    open_accounts,
    positions,
    random_commands,
    relay,
    submit,
    wait_until_applied,
)
from tests.servers import libpq
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
TICK_S = 0.02
TICKS = 50
SOME_S = 60.0


class Ticking:
    """A projector, and beside it on the same event loop something that counts."""

    def __init__(self) -> None:
        self.ticks = 0

    async def run(self, stop: asyncio.Event) -> None:
        self._tick()
        try:
            await run_projections(stop)
        finally:
            self._next.cancel()

    def _tick(self) -> None:
        self.ticks += 1
        self._next = asyncio.get_running_loop().call_later(TICK_S, self._tick)


@contextmanager
def hanging_keys() -> Iterator[psycopg.Connection]:
    """Let every question about keys wait for a lock, and yield a connection that can see who waits."""
    url = libpq(settings.DATABASE_URL)
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as bystander:
        holder.execute("LOCK TABLE subject_keys IN ACCESS EXCLUSIVE MODE")
        yield bystander


def someone_waits(bystander: psycopg.Connection) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ((waiting,),) = bystander.execute(query).fetchall()
    return bool(waiting)


def test_the_projectors_loop_goes_on_while_the_keys_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "IDLE_S", 2)  # so that the bus brings the events, to the loop
    accounts, ticking = open_accounts(5), Ticking()
    with Background(ticking.run):
        with relay():
            submit(*random_commands(accounts, 30))
            wait_until_applied()
        before = positions()
        submit(*random_commands(accounts, 10, seed=2))
        with hanging_keys() as bystander:
            keys.RING.forget()
            with relay():
                wait_for(lambda: someone_waits(bystander), "a key is asked for")
                seen = ticking.ticks
                wait_for(lambda: ticking.ticks >= seen + TICKS, "the loop goes on", SOME_S)
                assert someone_waits(bystander), "all that time"
            assert positions() == before, "nothing is applied without its texts"
        wait_until_applied()
    assert_read_model_is_right()


def ask_a_backend_that_hangs() -> None:
    with portal.connection() as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # it keeps the connection open, and no limit of its own ends the statement
        try:
            connection.execute(keys.LAST_ERASURE)
        finally:
            os.kill(backend, signal.SIGCONT)


def test_a_keys_server_that_says_nothing_at_all_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(portal, "ANSWER_S_MAX", 0.3)
        with pytest.raises(KeysUnavailable):
            ask_a_backend_that_hangs()
    assert keys.keys_of("nobody") == [], "the next one gets another connection"
