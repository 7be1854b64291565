"""NATS and its JetStream stream LEDGER: connecting, the stream's configuration, and a continuous pull.

The stream is a copy of the journal with sequence = position, so it can always be thrown away and published
again. Nothing here decides anything: the journal is the truth.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from django.conf import settings
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from ledger.bus.envelope import STREAM, SUBJECT_PREFIX

log = structlog.get_logger()
RECONNECT_WAIT_S = 0.25
CONNECT_TIMEOUT_S = 2
PULL_EXPIRES_S = 5.0  # the server ends an idle pull after this; a lost one is renewed no later
PULL_BATCH = 1_000


async def connect(name: str) -> Client:
    """Return a client that reconnects for ever; `name` is shown in NATS's own monitoring."""
    is_told = False  # of this outage: one line says it, however many attempts follow

    async def report(error: Exception) -> None:
        nonlocal is_told
        if not is_told:
            log.warning("nats", client=name, error=str(error) or type(error).__name__)
        is_told = True

    async def back() -> None:
        nonlocal is_told
        is_told = False
        log.info("nats is back", client=name)

    client = Client()
    try:
        await client.connect(
            settings.NATS_URL,
            name=name,
            connect_timeout=CONNECT_TIMEOUT_S,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # a float does as well
            max_reconnect_attempts=-1,
            error_cb=report,
            reconnected_cb=back,
        )
    except BaseException:
        # Cancelled half-way it would leave its socket open.
        await client.close()
        raise
    return client


@asynccontextmanager
async def connected(name: str) -> AsyncIterator[Client]:
    client = await connect(name)
    try:
        yield client
    finally:
        await client.close()


async def ensure_stream(js: JetStreamContext) -> int:
    """Make the stream if it is not there and return its last sequence."""
    try:
        info = await js.stream_info(STREAM)
    except NotFoundError:
        log.info("stream created", stream=STREAM)
        info = await js.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[SUBJECT_PREFIX + ">"],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.NEW,
                num_replicas=settings.NATS_REPLICAS,
                deny_delete=True,
                deny_purge=True,
            )
        )
    return int(info.state.last_seq)


class ContinuousPull:
    """Messages of a pull consumer as they come, with one request always outstanding.

    nats-py's `fetch` asks anew for every batch and waits to fill it; here a batch is whatever has arrived, so
    a lone event is handed on at once and a backlog comes a thousand at a time. Wire protocol:
    https://docs.nats.io/reference/reference-protocols/nats_api_reference (CONSUMER.MSG.NEXT).
    """

    def __init__(self, client: Client, consumer: str) -> None:
        self._client = client
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer}"
        self._inbox = client.new_inbox()
        self._arrived: list[Msg] = []
        self._wakeup = asyncio.Event()
        self._outstanding = 0
        self._asked_at = 0.0
        self._is_broken = False

    async def __aenter__(self) -> ContinuousPull:
        self._subscription = await self._client.subscribe(self._inbox, cb=self._receive, pending_msgs_limit=-1)
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._client.is_closed:
            await self._subscription.unsubscribe()

    async def _receive(self, message: Msg) -> None:
        if message.headers and "Status" in message.headers:
            # 404 no messages, 408 expired: ask again. 409 (consumer deleted, …), 503: the consumer is gone.
            self._outstanding = 0
            self._is_broken = message.headers["Status"] not in ("404", "408", "100")
        else:
            self._outstanding -= 1
            self._arrived.append(message)
        self._wakeup.set()

    async def batch(self, wait_s: float) -> list[Msg]:
        """Return what has arrived, in order, waiting up to `wait_s` for a first message; else an empty list.

        Raises: ConnectionError when the consumer is gone and must be made again.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while not self._arrived:
            if self._is_broken:
                raise ConnectionError("the JetStream consumer is gone")
            # Before asking, which awaits: what arrives meanwhile must not be waited for.
            self._wakeup.clear()
            if self._outstanding <= 0 or loop.time() > self._asked_at + PULL_EXPIRES_S + 1:
                await self._ask()
                continue
            try:
                async with asyncio.timeout_at(deadline):  # wait_for would make a task each time
                    await self._wakeup.wait()
            except TimeoutError:
                return []
        batch, self._arrived = self._arrived, []
        if self._outstanding <= 0:
            await self._ask()
        return batch

    def more(self) -> list[Msg]:
        """Return what has arrived since the last batch, in order, without waiting; the next batch asks for the rest."""
        more, self._arrived = self._arrived, []
        return more

    async def _ask(self) -> None:
        request = {"batch": PULL_BATCH, "expires": int(PULL_EXPIRES_S * 1e9)}
        self._outstanding, self._asked_at = PULL_BATCH, asyncio.get_running_loop().time()
        await self._client.publish(self._next_subject, json.dumps(request).encode(), reply=self._inbox)


def consumer_config(name: str, after: int) -> ConsumerConfig:
    """Return the configuration of a durable consumer that starts at position `after` + 1."""
    return ConsumerConfig(
        durable_name=name,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.ALL,
        max_ack_pending=20 * PULL_BATCH,
    )
