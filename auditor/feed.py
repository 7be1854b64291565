"""The live feed: one for each web process, however many look.

It follows the stream from the head and keeps the newest events, gapless and in position order, in one bounded
list that every subscriber reads from its own place (`auditor.subscription`). A subscriber that falls out of the
list reads the journal instead, so a slow one costs nobody anything. Whatever the stream does not bring (NATS is
away, a restart, a hole) comes from the journal, which is asked every second and is the truth; an event on the
stream that does not continue the journal's running hash is not shown. Invariant 8 rests on this and on
`Subscription`.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import structlog

from auditor.live_events import LiveEvent, follow_stream, from_sequenced
from auditor.status import Status, read_status
from auditor.threads import in_thread
from ledger.domain.events import SubjectErased
from ledger.errors import LedgerError, StoreUnavailable
from ledger.store import journal
from ledger.store.hashing import NO_HASH
from ledger.store.journal import Sequenced
from projections.intake import first_break

log = structlog.get_logger()
SUBSCRIBERS_MAX = 500  # of one process: at 20 frames a second each, about one core
KEPT_EVENTS_MAX = 4_000  # some 6 MB: a second of the bus at its fastest
JOURNAL_PAGE = 1_000
# How often the journal is asked whether the stream has missed something, and the status is read.
POLL_S, POLL_WITHOUT_STREAM_S = 1.0, 0.2


class TooManySubscribers(LedgerError):
    """This process serves as many live clients as it can: try again, or ask another one."""

    code = "too_many_subscribers"
    status = 503
    retryable = True


class Feed:
    def __init__(self) -> None:
        self.position = 0
        self._running_hash = NO_HASH
        self._kept: list[LiveEvent] = []  # gapless, ending at `position`
        self._status: Status | None = None
        self._is_stream_connected = False
        self._subscribers = 0
        self._task: asyncio.Task[None] | None = None
        self._news, self._status_news = asyncio.Event(), asyncio.Event()
        self._filling = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the feed running for one more subscriber. Raises: TooManySubscribers."""
        if self._subscribers >= SUBSCRIBERS_MAX:
            raise TooManySubscribers(f"{SUBSCRIBERS_MAX} clients follow the live feed already")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="live feed")
        self._subscribers += 1
        try:
            yield
        finally:
            self._subscribers -= 1
            if self._subscribers == 0:
                await self._stop()

    async def _stop(self) -> None:
        # Let go of first, so that whoever subscribes meanwhile starts a task of their own, not one that is ending.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def kept_after(self, position: int) -> list[LiveEvent] | None:
        """Return kept events from `position` + 1, a page of them, or None when that one is no longer kept."""
        start = len(self._kept) - (self.position - position)
        return None if start < 0 else self._kept[start : start + JOURNAL_PAGE]

    async def wait_for_events(self, after: int) -> None:
        while self.position <= after:
            await self._news.wait()
            self._check()

    async def next_status(self) -> Status:
        known = self._status
        while self._status is known or self._status is None:
            await self._status_news.wait()
            self._check()
        return self._status

    def _check(self) -> None:
        """Pass on to the subscribers what broke the feed; when they are gone, the next one starts it anew."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _run(self) -> None:
        stop = asyncio.Event()
        follower: asyncio.Task[None] | None = None
        try:
            await self._begin()
            follower = asyncio.create_task(follow_stream(self._take, self._note_stream, lambda: self.position, stop))
            await self._poll(follower)
        finally:
            stop.set()
            while follower is not None and not follower.done():
                # Asked again, because asyncio.wait_for may lose a cancellation (fixed in Python 3.12).
                follower.cancel()
                await asyncio.wait([follower], timeout=POLL_S)
            # The task itself is done only after this; whoever wakes asks it then.
            asyncio.get_running_loop().call_soon(self._announce_all)

    async def _begin(self) -> None:
        """Come to the head before anything is followed, however long the journal is away."""
        while not await self._fill():  # noqa: ASYNC110 (there is nothing to wait for but the time of the next try)
            await asyncio.sleep(POLL_S)

    async def _poll(self, follower: asyncio.Task[None]) -> None:
        read_at = 0.0
        loop = asyncio.get_running_loop()
        while not follower.done():
            await self._fill()
            if loop.time() >= read_at + POLL_S:
                read_at = loop.time()
                self._status = await in_thread(read_status, self._is_stream_connected)
                self._status_news = _announce(self._status_news)
            await asyncio.sleep(POLL_S if self._is_stream_connected else POLL_WITHOUT_STREAM_S)
        follower.result()  # it goes on for ever, or fails

    async def _fill(self) -> bool:
        """Come to the journal's head, if it answers. What is too far behind to be kept anyway is left out."""
        try:
            async with self._filling:
                head = await in_thread(journal.head)
                if head.position > self.position + KEPT_EVENTS_MAX:
                    self._kept.clear()
                    self.position, self._running_hash = head.position, head.running_hash
                    self._news = _announce(self._news)
                while self.position < head.position:
                    events = await in_thread(journal.read, self.position, JOURNAL_PAGE)
                    self._extend(events, await in_thread(from_sequenced, events))
        except StoreUnavailable as error:
            log.warning("the journal cannot be read, trying again", error=str(error))
            return False
        return True

    async def _take(self, events: list[Sequenced]) -> None:
        """Take what the stream brought, if it continues what is known; else ask the journal."""
        fresh = [event for event in events if event.position > self.position]
        if not fresh:
            return
        if fresh[0].position != self.position + 1 or first_break(fresh, self._running_hash):
            log.warning("the stream does not continue the journal", after=self.position, got=fresh[0].position)
            await self._fill()
            return
        try:
            self._extend(fresh, await in_thread(from_sequenced, fresh))
        except StoreUnavailable as error:  # asked again with the journal, within a second
            log.warning("the keys of texts cannot be read, trying again", error=str(error))

    def _extend(self, events: Sequence[Sequenced], opened: Sequence[LiveEvent]) -> None:
        """Take in what follows; while its texts were opened, some of it may have come the other way."""
        known = bisect_right(events, self.position, key=lambda event: event.position)
        events, opened = events[known:], opened[known:]
        if not events:
            return
        assert events[0].position == self.position + 1, "the feed has no gaps"
        self._kept.extend(opened)
        erased = [number for number, event in enumerate(opened) if event.event_type == SubjectErased.__name__]
        if erased:
            # Whoever has not had those before reads the journal, and finds what is left of them.
            del self._kept[: len(self._kept) - len(opened) + erased[-1]]
        if len(self._kept) > 2 * KEPT_EVENTS_MAX:
            del self._kept[:-KEPT_EVENTS_MAX]
        self.position, self._running_hash = events[-1].position, events[-1].running_hash
        self._news = _announce(self._news)

    def _note_stream(self, is_connected: bool) -> None:
        self._is_stream_connected = is_connected

    def _announce_all(self) -> None:
        self._news, self._status_news = _announce(self._news), _announce(self._status_news)


def _announce(news: asyncio.Event) -> asyncio.Event:
    """Wake everybody who waits for this news, and return the next one to wait for."""
    news.set()
    return asyncio.Event()


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, Feed] = WeakKeyDictionary()


def feed_of_this_process() -> Feed:
    """Return the feed of the running event loop, of which a web process has one."""
    return _feeds.setdefault(asyncio.get_running_loop(), Feed())
