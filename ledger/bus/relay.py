"""The relay: outbox → journal → JetStream, for ever, by any number of processes.

Three loops share one process. The sequencer gives positions (only the database fences it, so it goes on
without NATS); the publisher copies the journal to the stream, and the tree keeper extends the Merkle tree
behind it (both only read the journal, so they can be killed anywhere).
A nudge after a commit wakes the sequencer; polling finds what a lost nudge left, and what nobody nudged for.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack
from datetime import datetime

import structlog
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from ledger.bus.envelope import NUDGE_SUBJECT, STREAM
from ledger.bus.jetstream import connected
from ledger.bus.publisher import PASSING_ERRORS, Publisher
from ledger.bus.tree_keeper import TreeKeeper
from ledger.errors import CommitUnknown, StoreConflict, StoreUnavailable
from ledger.store import journal
from ledger.store.connection import dedicated_connection
from ledger.store.prepared import StoreConnection

log = structlog.get_logger()
POLL_S = 0.1  # what a lost nudge costs at most
# Before this relay publishes what another one sequenced, that one gets this long to do it itself.
TAKEOVER_S = 1.0
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.05, 2.0
# Events that leave before the next step begins. More of them take the publisher longer than the store takes for a step.
LIVE_MAX = 50
# From so many commands in a step on, the next one waits for more of them: what a step and its batch cost, wherever they
# come by, is then shared by more, and the web process has that for itself (ADR 16). At 500 commands a second, one by
# one, a step has two.
MANY_COMMANDS = 16
GATHER_S = 0.025
# Of the loop: one in which the publisher hands the events over, one in which the client sends them.
TURNS_TO_SEND = 2


class Relay:
    def __init__(self, client: Client, stop: asyncio.Event) -> None:
        self._client = client
        self._stop = stop
        self._tree = TreeKeeper()
        self._nudged, self._sequenced = asyncio.Event(), asyncio.Event()
        self._publisher = Publisher(client, on_failure=self._sequenced.set)
        self._head = 0
        self._drained_at: datetime | None = None
        self._is_own_head = False
        self._connection: StoreConnection | None = None
        self._resources = ExitStack()

    async def run(self) -> None:
        """Work until `stop` is set. Raises: ForeignStream."""

        async def wake(_: object) -> None:
            self._nudged.set()

        await self._client.subscribe(NUDGE_SUBJECT, cb=wake)
        await self._publisher.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish_for_ever())
                group.create_task(self._sequence_for_ever())
                group.create_task(self._tree.run(self._stop))
        finally:
            await self._tree.close()
            self._resources.close()

    async def _sequence_for_ever(self) -> None:
        failures = 0
        while not self._stop.is_set():
            was_nudged = self._nudged.is_set()
            self._nudged.clear()
            try:
                step = await self._step()
            except (StoreConflict, StoreUnavailable, CommitUnknown) as error:
                failures += 1
                log.warning("sequencing failed, trying again", code=error.code, error=str(error), failures=failures)
                await self._pause(min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**failures) * random.random())  # noqa: S311
                continue
            failures = 0
            self._note(step)
            if 0 < len(step.events) <= LIVE_MAX:
                await _let_others()
            if step.drained_at is not None:
                if step.commands >= MANY_COMMANDS:
                    await self._pause(GATHER_S)
                # Once more without being told: of many commands not every call says so (batching.TOLD_AGAIN_S). Also
                # when a step before had what a nudge was about: that nudge is why the next call sent none.
                await _wait(self._nudged, GATHER_S if step.commands or was_nudged else POLL_S)
        self._sequenced.set()

    async def _step(self) -> journal.Step:
        """A connection that failed is left behind and made anew."""
        if self._connection is None or self._connection.closed:
            self._resources.close()
            self._connection = await asyncio.to_thread(self._resources.enter_context, dedicated_connection())
        try:
            return await journal.sequence_in_loop(self._connection, self._drained_at)
        except (StoreUnavailable, CommitUnknown):
            self._connection.close()
            raise

    def _note(self, step: journal.Step) -> None:
        self._drained_at = step.drained_at or self._drained_at
        for late in step.late:
            log.error("incident: command became visible late", position=late.position, command_id=str(late.command_id))
        if step.events:
            self._publisher.keep(step.events)
        if step.head.position > self._head:
            self._head, self._is_own_head = step.head.position, bool(step.events)
            self._sequenced.set()
            self._tree.wake()

    async def _publish_for_ever(self) -> None:
        must_synchronise, failures = True, 0
        while not self._stop.is_set() or (self._publisher.published < self._head and not failures):
            try:
                if must_synchronise:
                    await self._publisher.synchronise()
                    must_synchronise = False
                await self._publisher.publish_through(self._head)
                if self._stop.is_set():
                    await self._publisher.settle()
                failures = 0
            except PASSING_ERRORS as error:
                must_synchronise, failures = True, failures + 1
                log.warning("publishing failed, trying again", error=str(error) or type(error).__name__)
                await self._pause(min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**failures))
            except (StoreUnavailable, StoreConflict) as error:
                failures += 1
                log.warning("the journal cannot be read, trying again", error=str(error))
                await self._pause(min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2**failures))
            else:
                await self._await_more()
                # Another relay's events: it publishes them, unless it died; the stream tells.
                is_anothers = self._head > self._publisher.sent and not self._is_own_head
                must_synchronise = is_anothers or self._publisher.is_silent

    async def _await_more(self) -> None:
        if self._stop.is_set():
            return
        await _wait(self._sequenced, TAKEOVER_S)
        self._sequenced.clear()
        if self._head > self._publisher.sent and not self._is_own_head:
            await self._pause(TAKEOVER_S)

    async def _pause(self, seconds: float) -> None:
        await _wait(self._stop, seconds)


async def _let_others() -> None:
    """Let what was just ordered be sent. **Why**: with more in the outbox, the next step's work would come first."""
    for _ in range(TURNS_TO_SEND):
        await asyncio.sleep(0)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):  # wait_for would make a task each time
            await event.wait()
    except TimeoutError:
        return


async def relay_events(stop: asyncio.Event) -> None:
    """Connect and run one relay until `stop` is set."""
    async with connected("relay") as client:
        await Relay(client, stop).run()


async def delete_stream() -> None:
    """Delete the stream; the next relay to start publishes the journal from position 1."""
    async with connected("relay") as client:
        try:
            await client.jetstream().delete_stream(STREAM)
        except NotFoundError:
            log.info("there is no stream to delete", stream=STREAM)
