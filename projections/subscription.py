"""A projector's durable JetStream consumer: events in position order, from wherever the checkpoint is.

The checkpoint in the read model is the truth; the consumer is only a way of getting events quickly. When the
two disagree, or the consumer or the whole stream is gone, the consumer is made anew at the checkpoint.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NotFoundError

from ledger.bus.envelope import STREAM, decode, from_envelope
from ledger.bus.jetstream import ContinuousPull, consumer_config
from ledger.store.journal import Sequenced

log = structlog.get_logger()
CONSUMER = "projector"
# How often the server is told what is stored. What it does not know yet would only come again, and be left out; so a
# batch that brings two events does not cost a message of its own, and one that is lost costs nothing.
ACKNOWLEDGE_S = 0.2
LOST = (APIError, NotFoundError, nats.errors.Error, ConnectionError, asyncio.TimeoutError, OSError)


class Subscription:
    """Use as a context manager. Raises one of LOST when it must be opened again."""

    def __init__(self, client: Client, after: int) -> None:
        self._client = client
        self._js = client.jetstream(timeout=2)
        self._after = after
        self._pull = ContinuousPull(client, CONSUMER)
        # The last message of each batch handed out; none for an empty one.
        self._handed_out: deque[Msg | None] = deque()
        self._stored: Msg | None = None  # the last message that is stored and not acknowledged
        self._acknowledged_at = 0.0

    async def __aenter__(self) -> Subscription:
        if not self._client.is_connected:
            raise ConnectionError("NATS is away")  # asking would only end in a timeout
        await self._ensure_consumer()
        await self._pull.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._client.is_connected:
            await self._tell()
        await self._pull.__aexit__(*error)

    async def _ensure_consumer(self) -> None:
        """nats-py silently keeps an existing durable's configuration, so one that stands elsewhere is replaced."""
        try:
            info = await self._js.consumer_info(STREAM, CONSUMER)
        except NotFoundError:
            log.info("consumer created", consumer=CONSUMER, after=self._after)
        else:
            acknowledged = info.ack_floor.stream_seq if info.ack_floor else 0
            started_at = (info.config.opt_start_seq or 1) - 1
            if max(acknowledged, started_at) == self._after and not info.num_ack_pending:
                return
            log.info("consumer replaced", consumer=CONSUMER, after=self._after, it_was_at=acknowledged)
            await self._js.delete_consumer(STREAM, CONSUMER)
        await self._js.add_consumer(STREAM, consumer_config(CONSUMER, self._after))

    async def batch(self, wait_s: float) -> list[Sequenced]:
        """Return what has arrived, in order of arrival; empty after `wait_s` without anything.

        **Why** an unreadable message is left out: what is missing is noticed as a gap and read from the journal.
        """
        messages = await self._pull.batch(wait_s)
        self._handed_out.append(messages[-1] if messages else None)
        return _events_in(messages)

    def more(self) -> list[Sequenced]:
        """Return what has arrived since, as a part of the batch handed out last: it was waiting, and need not alone."""
        messages = self._pull.more()
        if messages:
            self._handed_out[-1] = messages[-1]
        return _events_in(messages)

    async def acknowledge(self, *, is_stored: bool) -> None:
        """Be done with the oldest batch handed out. When all of it is stored, or refused for good, the server may know.

        Half a command in memory is not stored: it is acknowledged with the batch that brings the other half.
        """
        last = self._handed_out.popleft()
        if last is not None and is_stored:
            self._stored = last
        if time.monotonic() >= self._acknowledged_at + ACKNOWLEDGE_S:
            await self._tell()

    async def _tell(self) -> None:
        if self._stored is not None:
            self._acknowledged_at = time.monotonic()
            await self._stored.ack()  # of all before it too
            self._stored = None


def _events_in(messages: Sequence[Msg]) -> list[Sequenced]:
    arrived: list[Sequenced] = []
    for message in messages:
        try:
            arrived.append(_event_in(message))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("a message on the bus is no event", subject=message.subject, error=repr(error))
    return arrived


def _event_in(message: Msg) -> Sequenced:
    sequenced = from_envelope(decode(message.data))
    place = (sequenced.position, sequenced.command_index, sequenced.command_size)
    if not all(type(number) is int for number in place) or not isinstance(sequenced.event.metadata, dict):
        raise ValueError("a place in the journal is made of integers")
    return sequenced
