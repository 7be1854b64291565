"""One subscriber's place in the journal: every event it wants, once, in position order, from where it left off.

A subscription is a number: the position up to which everything has been handed out or passed over by its
filter. So there is no queue to overflow, and resuming after a cut is the same as going on. Invariant 8.
"""

from __future__ import annotations

import asyncio

import structlog

from auditor.feed import Feed
from auditor.history import Page, read_page
from auditor.live_events import Filter, LiveEvent
from auditor.threads import in_thread
from ledger.errors import StoreUnavailable

log = structlog.get_logger()
EVENTS_PER_FRAME_MAX = 200  # about 250 KB
RETRY_S = 0.5


class Subscription:
    def __init__(self, feed: Feed, after: int, wanted: Filter) -> None:
        self._feed = feed
        self._position = after
        self._wanted = wanted
        # Up to here everything wanted has been sent; `_position` is ahead of it while a batch is on its way.
        self.sent_position = after

    async def next_batch(self) -> list[LiveEvent]:
        """Return the next events in position order, 1 to EVENTS_PER_FRAME_MAX of them, waiting for the first."""
        while True:
            self.note_sent()
            await self._feed.wait_for_events(self._position)
            kept = self._feed.kept_after(self._position)
            batch = self._take(kept) if kept is not None else await self._read()
            if batch:
                return batch

    def note_sent(self) -> None:
        """Note that the last batch is with the client. Asking for the next one says the same."""
        self.sent_position = self._position

    def _take(self, kept: list[LiveEvent]) -> list[LiveEvent]:
        batch: list[LiveEvent] = []
        for event in kept:
            if self._wanted.accepts(event):
                batch.append(event)
            self._position = event.position
            if len(batch) == EVENTS_PER_FRAME_MAX:
                break
        return batch

    async def _read(self) -> list[LiveEvent]:
        """Catch up from the journal, one page."""
        head = self._feed.position
        try:
            page: Page = await in_thread(read_page, self._position, self._wanted, EVENTS_PER_FRAME_MAX, head)
        except StoreUnavailable as error:
            log.warning("a subscriber cannot catch up, trying again", error=str(error))
            await asyncio.sleep(RETRY_S)
            return []
        self._position = page.position
        return page.events
