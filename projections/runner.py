"""The projector: bus → read model, exactly once and in order, whatever the bus does.

Position ≤ checkpoint: skipped. Position > checkpoint + 1: the gap is fetched from the journal. A batch is cut
at a command boundary, so the books balance at every checkpoint. Every event must continue the running hash;
one that does not is fetched from the journal again, and if the journal agrees with it, the projector stops
and raises an alarm: it would rather stand still than be wrong.
"""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg
import structlog
from nats.aio.client import Client

from ledger.bus.jetstream import connected
from ledger.errors import StoreUnavailable
from projections import checkpoints, source
from projections.checkpoints import Checkpoint, Superseded
from projections.projection import Projection, registry
from projections.source import Sequenced
from projections.subscription import LOST, Subscription

log = structlog.get_logger()
IDLE_S = 0.5  # without a message for this long, the journal is asked whether something was missed
STANDBY_S = 1.0  # how often a projector that is not the active one asks for its turn
RETRY_S = 0.5
LOCK = "projector"
BATCH_MAX = 2_000


class ChainBroken(Exception):
    """The journal itself does not continue the running hash that the read model was built on."""


class Runner:
    def __init__(self, client: Client, stop: asyncio.Event) -> None:
        self._client = client
        self._stop = stop
        self._projections = registry()
        self._checkpoints: dict[Projection, Checkpoint] = {}
        self._unfinished: list[Sequenced] = []  # the head of a command whose tail has not arrived
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="projector")

    async def run(self) -> None:
        """Work until `stop` is set; wait for a turn while another projector is active."""
        while not self._stop.is_set():
            with ExitStack() as resources:
                try:
                    connection = await self._in_thread(resources.enter_context, checkpoints.dedicated_connection())
                    if await self._in_thread(self._take_turn, connection):
                        await self._follow(connection)
                    else:
                        await self._pause(STANDBY_S)
                except (psycopg.OperationalError, StoreUnavailable, Superseded) as error:
                    log.warning("projector starts over", error=str(error))
                    await self._pause(RETRY_S)
                except ChainBroken as error:
                    log.error("alarm: projector stands still", error=str(error))
                    await self._in_thread(checkpoints.raise_alarm, connection, self._projections, str(error))
                    await self._pause(STANDBY_S)
        self._thread.shutdown()

    def _take_turn(self, connection: psycopg.Connection[Any]) -> bool:
        if not checkpoints.try_lock(connection, LOCK):
            return False
        self._checkpoints = {p: checkpoints.load(connection, p) for p in self._projections}
        self._unfinished = []
        log.info("projector active", after=self._position)
        return True

    async def _follow(self, connection: psycopg.Connection[Any]) -> None:
        """Follow the stream until stopped; while there is none, follow the journal."""
        while not self._stop.is_set():
            try:
                async with Subscription(self._client, self._position) as subscription:
                    while not self._stop.is_set():
                        events = await subscription.batch(IDLE_S)
                        if events:
                            await self._in_thread(self._take, connection, events)
                            await subscription.acknowledge()
                        else:
                            await self._in_thread(self._catch_up, connection)
            except LOST as error:
                log.warning("the stream is away, following the journal", error=str(error) or type(error).__name__)
                self._unfinished = []
                await self._in_thread(self._catch_up, connection)
                await self._pause(RETRY_S)

    @property
    def _position(self) -> int:
        return min(checkpoint.position for checkpoint in self._checkpoints.values())

    @property
    def _running_hash(self) -> bytes:
        return min(self._checkpoints.values(), key=lambda c: c.position).running_hash

    def _catch_up(self, connection: psycopg.Connection[Any]) -> None:
        """Apply what the journal has and the bus did not bring."""
        head = source.head_position()
        if head > self._position:
            log.info("catching up from the journal", after=self._position, up_to=head)
            self._unfinished = []
            self._take_from_journal(connection, head)

    def _take(self, connection: psycopg.Connection[Any], arrived: list[Sequenced]) -> None:
        """Apply what the bus brought: skip, fill, cut, check, store."""
        known = self._unfinished[-1].position if self._unfinished else self._position
        fresh = _in_order(arrived, known)
        if fresh is None or (fresh and fresh[0].position != known + 1):
            # Out of order or with a hole: the journal has all of it, in order.
            self._unfinished = []
            self._take_from_journal(connection, max(s.position for s in arrived))
            return
        events, self._unfinished = _cut(self._unfinished + fresh)
        if not events:
            return
        if source.breaks_chain(events, self._running_hash):
            log.warning("an event on the bus is not the journal's", first=events[0].position, last=events[-1].position)
            self._unfinished = []
            self._take_from_journal(connection, events[-1].position)
            return
        self._store(connection, events)

    def _take_from_journal(self, connection: psycopg.Connection[Any], up_to: int) -> None:
        pending: list[Sequenced] = []
        for batch in source.read_range(self._position, up_to):
            events, pending = _cut(pending + batch)
            if events and (wrong := source.breaks_chain(events, self._running_hash)):
                raise ChainBroken(
                    f"the journal's event {wrong.position} does not continue the history this read model was built on"
                )
            self._store(connection, events)
        self._unfinished = pending

    def _store(self, connection: psycopg.Connection[Any], events: list[Sequenced]) -> None:
        start = 0
        while start < len(events):
            end = min(start + BATCH_MAX, len(events))
            while end < len(events) and events[end].command_index:
                end += 1
            checkpoints.apply_batch(connection, self._checkpoints, events[start:end])
            start = end

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def _in_order(arrived: list[Sequenced], known: int) -> list[Sequenced] | None:
    """Return the events after `known`, or None when they are not one gapless rising run."""
    fresh = [s for s in arrived if s.position > known]
    is_run = all(b.position == a.position + 1 for a, b in itertools.pairwise(fresh))
    return fresh if is_run else None


def _cut(events: list[Sequenced]) -> tuple[list[Sequenced], list[Sequenced]]:
    """Split into whole commands and the beginning of one that is not all there."""
    if not events:
        return [], []
    last = events[-1]
    if last.command_index == last.command_size - 1:
        return events, []
    start = len(events) - 1 - last.command_index
    return events[:start], events[start:]


async def run_projections(stop: asyncio.Event) -> None:
    """Connect and run one projector until `stop` is set."""
    async with connected("projector") as client:
        await Runner(client, stop).run()
