"""The projector: bus → read model, exactly once and in order, whatever the bus does.

Any number may run. One has the turn, a lock of its connection; the others ask for it twice a second. What the
turn does with events is in `turn`; here is who has it, where events come from, and how it ends: on a failure
everything in memory is dropped and read again from the tables.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

import psycopg
import structlog
from nats.aio.client import Client

from ledger.bus.jetstream import connected
from ledger.errors import StoreUnavailable
from projections.checkpoints import Superseded
from projections.connection import projector_connection, try_lock
from projections.intake import ChainBroken
from projections.lag import LagWindow
from projections.projection import registry
from projections.source import Sequenced
from projections.subscription import LOST, Subscription
from projections.turn import Turn

log = structlog.get_logger()
IDLE_S = 0.25  # without a message for this long, the journal is asked whether something was missed
STANDBY_S = 0.5  # how often a projector that is not the active one asks for its turn
RETRY_S = 0.5
# Events from which on the journal is read before the stream: measured, an event costs the projector 94 µs of CPU
# by the stream and 66 µs by the journal.
FAR_BEHIND = 5_000
LOCK = "projector"
T = TypeVar("T")


class Runner:
    def __init__(self, client: Client, stop: asyncio.Event) -> None:
        self._client = client
        self._stop = stop
        self._lag = LagWindow()
        # psycopg connections are used by one thread at a time: this one does all the work of a turn.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="projector")

    async def run(self) -> None:
        """Work until `stop` is set; wait for a turn while another projector is active."""
        try:
            while not self._stop.is_set():
                await self._attempt()
        finally:
            self._thread.shutdown()

    async def _attempt(self) -> None:
        resources = ExitStack()
        try:
            turn = await self._in_thread(self._take_turn, resources)
            if turn is None:
                await self._pause(STANDBY_S)
            else:
                await self._work(turn)
        # A missing table is a read model that is being dropped, migrated or restored: it will be there again.
        except (psycopg.OperationalError, psycopg.ProgrammingError, StoreUnavailable, Superseded) as error:
            log.warning("projector starts over", error=str(error), kind=type(error).__name__)
            await self._pause(RETRY_S)
        finally:
            await self._in_thread(resources.close)

    def _take_turn(self, resources: ExitStack) -> Turn | None:
        connection = resources.enter_context(projector_connection())
        return Turn(connection, registry(), self._lag, self._stop.is_set) if try_lock(connection, LOCK) else None

    async def _work(self, turn: Turn) -> None:
        try:
            while not self._stop.is_set() and not turn.stands_still:
                await self._follow(turn)
            await self._pause(STANDBY_S)
        except ChainBroken as error:
            log.error("alarm: projector stands still", error=str(error))
            await self._in_thread(turn.raise_alarm, str(error))
            await self._pause(STANDBY_S)

    async def _follow(self, turn: Turn) -> None:
        """Follow the stream until it is lost; what is far behind is read from the journal, which costs less."""
        await self._in_thread(turn.catch_up, FAR_BEHIND)
        try:
            async with Subscription(self._client, turn.position) as subscription:
                arrived = await subscription.batch(IDLE_S)
                while not self._stop.is_set():
                    # While a batch is applied the next one is received and decoded.
                    applied = asyncio.ensure_future(self._take(turn, arrived))
                    try:
                        arrived = await subscription.batch(0 if turn.is_behind else IDLE_S)
                    finally:
                        await applied
                    # What came behind the next batch's first would wait for a batch of its own.
                    arrived += subscription.more()
                    await subscription.acknowledge(is_stored=turn.is_between_commands)
                    # Asked here, because the way to the thread and back is a share of a lone event's lag.
                    if turn.is_due:
                        await self._in_thread(turn.keep_up)
        except LOST as error:
            log.warning("the stream is away, following the journal", error=str(error) or type(error).__name__)
            await self._in_thread(turn.catch_up)
            await self._in_thread(turn.keep_up)
            await self._pause(RETRY_S)

    async def _take(self, turn: Turn, arrived: Sequence[Sequenced]) -> None:
        if left := await turn.take_in_loop(arrived):
            await self._in_thread(left)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


async def run_projections(stop: asyncio.Event) -> None:
    """Connect and run one projector until `stop` is set."""
    async with connected("projector") as client:
        await Runner(client, stop).run()
