"""Events as the live feed hands them out, the filter on them, and the JetStream consumer that brings them.

The consumer is ephemeral: it begins after the feed's position, is acknowledged by nobody, and is made anew
whenever anything about it is unclear. The journal fills what it misses meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError, NotFoundError

from ledger.bus.envelope import STREAM, decode, from_envelope, to_envelope
from ledger.bus.jetstream import ContinuousPull, connected
from ledger.domain.currencies import decimals_of
from ledger.domain.errors import UnknownCurrency
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
    """One event ready to be sent: `body` is its envelope as JSON, the rest is what filters ask for.

    `amount`: how much the event is about, in its currency's own units and without a sign. `text`: what a person
    might look for, in small letters.
    """

    position: int
    event_type: str
    aggregate_id: str
    amount: Decimal | None
    text: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a subscriber wants; empty means every one. An index leads to type and account, to the rest none."""

    event_type: str = ""
    aggregate_id: str = ""
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.event_type or self.aggregate_id or self.must_look)

    @property
    def must_look(self) -> bool:
        """Whether only a look at each event tells."""
        return bool(self.text) or self.min_amount is not None or self.max_amount is not None

    def accepts(self, event: LiveEvent) -> bool:
        return (
            self.event_type in ("", event.event_type)
            and self.aggregate_id in ("", event.aggregate_id)
            and (not self.must_look or self._accepts_content(event))
        )

    def _accepts_content(self, event: LiveEvent) -> bool:
        if self.text.casefold() not in event.text:
            return False
        if self.min_amount is None and self.max_amount is None:
            return True
        if event.amount is None:
            return False
        is_enough = self.min_amount is None or event.amount >= self.min_amount
        return is_enough and (self.max_amount is None or event.amount <= self.max_amount)


def from_sequenced(events: Sequence[Sequenced]) -> list[LiveEvent]:
    """Return events as they are shown, with their texts opened. Raises: KeysUnavailable."""
    opened = open_envelopes([to_envelope(sequenced) for sequenced in events])
    return [_live(envelope) for envelope in opened]


def _live(envelope: dict[str, Any]) -> LiveEvent:
    data = envelope["data"]
    words = (envelope["aggregate_id"], envelope["event_id"], envelope["metadata"].get("actor"), *data.values())
    text = "\n".join(word for word in words if isinstance(word, str)).casefold()
    amount = _amount(data, data.get("currency") or envelope["state"].get("currency"))
    about = (envelope["position"], envelope["event_type"], envelope["aggregate_id"])
    return LiveEvent(*about, amount, text, orjson.dumps(envelope))


def _amount(data: dict[str, Any], currency: str | None) -> Decimal | None:
    amount_minor = data.get("amount_minor")
    if amount_minor is None or not currency:
        return None
    try:
        return Decimal(amount_minor).scaleb(-decimals_of(currency))
    except UnknownCurrency:
        return None  # one that was taken out of the settings has no units any more to be compared in


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
