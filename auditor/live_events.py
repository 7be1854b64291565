"""Events as the live feed hands them out, the filter on them, and the JetStream consumer that brings them.

The consumer is ephemeral: it begins after the feed's position, is acknowledged by nobody, and is made anew
whenever anything about it is unclear. The journal fills what it misses meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from ledger.bus.envelope import STREAM, decode, from_envelope, to_envelope
from ledger.bus.jetstream import ContinuousPull, connected
from ledger.store.journal import Sequenced
from ledger.subjects.texts import open_envelopes

log = structlog.get_logger()
RETRY_S = 0.5
WAIT_S = 1.0
API_TIMEOUT_S = 2.0
# The server forgets a consumer that nobody has pulled from for this long: a web process that was killed.
INACTIVE_S = 30.0
LOST = (APIError, NotFoundError, nats.errors.Error, ConnectionError, asyncio.TimeoutError, OSError)
FOREIGN = (ValueError, KeyError, TypeError)

Take = Callable[[list[Sequenced]], Awaitable[None]]
NoteConnected = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event ready to be sent: `body` is its envelope as JSON, the rest is what filters ask for."""

    position: int
    event_type: str
    aggregate_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a subscriber wants; empty means every one."""

    event_type: str = ""
    aggregate_id: str = ""

    def __bool__(self) -> bool:
        return bool(self.event_type or self.aggregate_id)

    def accepts(self, event: LiveEvent) -> bool:
        return self.event_type in ("", event.event_type) and self.aggregate_id in ("", event.aggregate_id)


def from_sequenced(events: Sequence[Sequenced]) -> list[LiveEvent]:
    """Return events as they are shown, with their texts opened. Raises: KeysUnavailable."""
    opened = open_envelopes([to_envelope(sequenced) for sequenced in events])
    return [
        LiveEvent(s.position, s.event.event_type, s.event.aggregate_id, orjson.dumps(envelope))
        for s, envelope in zip(events, opened, strict=True)
    ]


async def follow_stream(
    take: Take, note_connected: NoteConnected, position: Callable[[], int], stop: asyncio.Event
) -> None:
    """Hand over batches from the stream as they arrive, beginning after `position()` each time anew, until `stop`."""
    while not stop.is_set():
        try:
            async with connected("live feed") as client:
                await _follow(client, take, note_connected, position(), stop)
        except LOST as error:
            log.warning("the stream is away", error=str(error) or type(error).__name__)
        finally:
            note_connected(False)
        await asyncio.sleep(RETRY_S)


async def _follow(client: Client, take: Take, note_connected: NoteConnected, after: int, stop: asyncio.Event) -> None:
    js = client.jetstream(timeout=API_TIMEOUT_S)
    consumer = await js.add_consumer(STREAM, _config(after))
    async with ContinuousPull(client, consumer.name) as pull:
        while not stop.is_set():
            note_connected(client.is_connected)
            messages = await pull.batch(WAIT_S)
            try:
                events = [from_envelope(decode(message.data)) for message in messages]
            except FOREIGN as error:
                raise ConnectionError(f"the stream holds something that is no event of ours: {error}") from error
            await take(events)


def _config(after: int) -> ConsumerConfig:
    return ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        mem_storage=True,
        inactive_threshold=INACTIVE_S,
    )
