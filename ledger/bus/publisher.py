"""Publishes the journal to JetStream in position order, so that the stream's sequence equals the position.

Every message carries Nats-Expected-Last-Sequence, so the server itself refuses a gap, a duplicate or a
second relay's copy; only the last message of a batch asks for an acknowledgement, because the chain of
expectations acknowledges all before it. Whenever anything is unclear the stream's own last sequence says
where to go on, and the journal has the events.
"""

from __future__ import annotations

import asyncio
from collections import deque

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from ledger.bus.envelope import STREAM, decode, encode, subject_of
from ledger.bus.jetstream import ensure_stream
from ledger.errors import LedgerError
from ledger.store import journal
from ledger.store.journal import Sequenced

log = structlog.get_logger()
BATCH_MAX = 500  # about 750 KB in flight before an acknowledgement
ACK_TIMEOUT_S = 5.0
KEPT_BATCHES_MAX = 8  # sequenced and not yet published, in memory; beyond it the journal is read again


class ForeignStream(LedgerError):
    """The stream holds events of another event store; publishing into it would mix two histories."""

    code = "foreign_stream"
    status = 503


class Publisher:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream(timeout=ACK_TIMEOUT_S)
        self._kept: deque[list[Sequenced]] = deque(maxlen=KEPT_BATCHES_MAX)
        self.published = 0

    async def synchronise(self) -> None:
        """Read from the stream how far it is. Raises: ForeignStream."""
        last_sequence = await ensure_stream(self._js)
        head = await asyncio.to_thread(journal.head)
        if last_sequence > head.position:
            raise ForeignStream(
                f"the stream {STREAM} holds {last_sequence} events and the journal {head.position}: it was filled "
                "from another event store. Start relay_events with --replace-stream to publish this one"
            )
        if last_sequence:
            await self._check_origin(last_sequence)
        self.published = last_sequence

    async def _check_origin(self, sequence: int) -> None:
        message = await self._js.get_msg(STREAM, sequence)
        (entry,) = await asyncio.to_thread(journal.read, sequence - 1, 1)
        if decode(message.data or b"{}")["running_hash"] != entry.running_hash.hex():
            raise ForeignStream(
                f"event {sequence} of the stream {STREAM} is not that of the journal: it was filled from another "
                "event store. Start relay_events with --replace-stream to publish this one"
            )

    def keep(self, events: list[Sequenced]) -> None:
        """Remember freshly sequenced events, so that the journal need not be read for them."""
        self._kept.append(events)

    async def publish_through(self, position: int) -> None:
        """Publish everything up to a position. Raises what NATS raises; call `synchronise` and come again."""
        while self.published < position:
            events = await self._next()
            for start in range(0, len(events), BATCH_MAX):
                await self._publish(events[start : start + BATCH_MAX])

    async def _next(self) -> list[Sequenced]:
        while self._kept and self._kept[0][0].position <= self.published:
            self._kept.popleft()
        if self._kept and self._kept[0][0].position == self.published + 1:
            return self._kept.popleft()
        return await asyncio.to_thread(journal.read, self.published)

    async def _publish(self, events: list[Sequenced]) -> None:
        *others, last = events
        for sequenced in others:
            await self._client.publish(_subject(sequenced), encode(sequenced), headers=_expectation(sequenced))
        ack = await self._js.publish(_subject(last), encode(last), headers=_expectation(last))
        assert ack.seq == last.position, f"the stream's sequence {ack.seq} is the position {last.position}"
        self.published = last.position


def _subject(sequenced: Sequenced) -> str:
    return subject_of(sequenced.event.event_type)


def _expectation(sequenced: Sequenced) -> dict[str, str]:
    return {Header.EXPECTED_LAST_SEQUENCE.value: str(sequenced.position - 1)}


# What publishing may raise when NATS is away, slow, or another relay was first: synchronise and go on.
PASSING_ERRORS = (APIError, NotFoundError, nats.errors.Error, asyncio.TimeoutError, OSError)
