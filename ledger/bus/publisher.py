"""Publishes the journal to JetStream in position order, so that the stream's sequence equals the position.

Every message carries Nats-Expected-Last-Sequence, so the server itself refuses a gap, a duplicate or a
second relay's copy; only the last message of a batch asks for an acknowledgement, because the chain of
expectations acknowledges all before it. For the same reason nothing waits for one: what follows a message that
was refused is refused too. Whenever anything is unclear the stream's own last sequence says where to go on,
and the journal has the events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from ledger.bus.envelope import STREAM, decode, encode, subject_of
from ledger.bus.jetstream import ensure_stream
from ledger.errors import LedgerError, StoreUnavailable
from ledger.store import journal
from ledger.store.journal import Sequenced

log = structlog.get_logger()
BATCH_MAX = 500  # about 750 KB before an acknowledgement
IN_FLIGHT_MAX = 4 * BATCH_MAX  # about 3 MB that NATS has not said anything about
ACK_TIMEOUT_S = 5.0
# How long a stream that somebody deleted stays away when no event comes that would show it.
LOOK_S = 2.0
NO_RESPONDERS = "503"  # https://docs.nats.io/nats-concepts/core-nats/reqreply
KEPT_BATCHES_MAX = 8  # sequenced and not yet published, in memory; beyond it the journal is read again


class ForeignStream(LedgerError):
    """The stream holds events of another event store; publishing into it would mix two histories."""

    code = "foreign_stream"
    status = 503


class Publisher:
    """`sent`: the position up to which NATS was handed everything. `published`: up to which it has acknowledged it."""

    def __init__(self, client: Client, on_failure: Callable[[], None]) -> None:
        self._client = client
        self._on_failure = on_failure
        self._js = client.jetstream(timeout=ACK_TIMEOUT_S)
        self._kept: deque[list[Sequenced]] = deque(maxlen=KEPT_BATCHES_MAX)
        self._inbox = client.new_inbox()
        self._acknowledged = asyncio.Event()
        self._heard_at = self._sent_at = 0.0
        self._failure: Exception | None = None
        self._generation = 0  # of acknowledgements: those of before the last look at the stream say nothing any more
        self.sent = self.published = 0

    async def start(self) -> None:
        await self._client.subscribe(f"{self._inbox}.*.*", cb=self._take_acknowledgement)

    async def synchronise(self) -> None:
        """Read from the stream how far it is. Raises: ForeignStream."""
        if self._failure is None:
            await self.settle()  # what is under way would seem to be missing
        self._generation, self._failure = self._generation + 1, None
        self.sent = self.published
        last_sequence = await ensure_stream(self._js)
        head = await asyncio.to_thread(journal.head)
        if last_sequence > head.position:
            raise ForeignStream(
                f"the stream {STREAM} holds {last_sequence} events and the journal {head.position}: it was filled "
                "from another event store. Start relay_events with --replace-stream to publish this one"
            )
        if last_sequence:
            await self._check_origin(last_sequence)
        self.sent = self.published = last_sequence
        self._heard_at = self._now()

    @property
    def is_silent(self) -> bool:
        """Say whether nothing was heard of the stream for so long that it may be gone."""
        return self._now() > self._heard_at + LOOK_S

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
        """Hand everything up to a position to NATS. Raises what NATS raises, or has said of what was handed to it
        before; call `synchronise` and come again. Raises: StoreUnavailable when the journal does not reach it."""
        try:
            await self._settle(self.sent - IN_FLIGHT_MAX)
            while self.sent < position:
                if not (events := await self._next()):
                    raise StoreUnavailable(f"the journal ends at {self.sent}, and was at {position}")
                for start in range(0, len(events), BATCH_MAX):
                    await self._send(events[start : start + BATCH_MAX])
                    await self._settle(self.sent - IN_FLIGHT_MAX)
        except PASSING_ERRORS as error:
            self._failure = self._failure or error
            raise

    async def settle(self) -> None:
        """Wait until everything that was handed to NATS is acknowledged. Raises as `publish_through`."""
        try:
            await self._settle(self.sent)
        except TimeoutError as error:
            self._failure = error  # nobody waits for these a second time
            raise

    async def _settle(self, position: int) -> None:
        while not self._failure and self.published < position:
            self._acknowledged.clear()
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await self._acknowledged.wait()
        if self._failure:
            raise self._failure
        if self.published < self.sent and self._now() > self._sent_at + ACK_TIMEOUT_S:
            raise TimeoutError("NATS does not acknowledge")

    async def _next(self) -> list[Sequenced]:
        while self._kept and self._kept[0][0].position <= self.sent:
            self._kept.popleft()
        if self._kept and self._kept[0][0].position == self.sent + 1:
            return self._kept.popleft()
        return await asyncio.to_thread(journal.read, self.sent)

    async def _send(self, events: list[Sequenced]) -> None:
        *others, last = events
        for sequenced in others:
            await self._client.publish(_subject(sequenced), encode(sequenced), headers=_expectation(sequenced))
        reply = f"{self._inbox}.{self._generation}.{last.position}"
        await self._client.publish(_subject(last), encode(last), reply=reply, headers=_expectation(last))
        self.sent, self._sent_at = last.position, self._now()

    async def _take_acknowledgement(self, message: Msg) -> None:
        _, generation, position = message.subject.rsplit(".", 2)
        if int(generation) != self._generation:
            return
        if message.headers and message.headers.get(Header.STATUS.value) == NO_RESPONDERS:
            self._fail(NoStreamResponseError())
        elif error := (answer := orjson.loads(message.data)).get("error"):
            # Not `from_error`, which raises: in here nobody would hear of it, and the acknowledgement be waited for.
            self._fail(APIError(error.get("code"), error.get("description"), error.get("err_code")))
        else:
            assert answer["seq"] == int(position), f"the stream's sequence {answer['seq']} is the position {position}"
            self.published, self._heard_at = answer["seq"], self._now()
        self._acknowledged.set()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._on_failure()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _subject(sequenced: Sequenced) -> str:
    return subject_of(sequenced.event.event_type)


def _expectation(sequenced: Sequenced) -> dict[str, str]:
    return {Header.EXPECTED_LAST_SEQUENCE.value: str(sequenced.position - 1)}


# What publishing may raise when NATS is away, slow, or another relay was first: synchronise and go on.
PASSING_ERRORS = (APIError, NotFoundError, nats.errors.Error, asyncio.TimeoutError, OSError)
