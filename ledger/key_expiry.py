"""Removes old idempotency keys once a day, for as long as it runs: what `expire_keys --daily` is.

Nothing waits for it, and a day that it misses makes a promise longer, never shorter: a key is removed by its age, by
the store's clock, whenever somebody looks (ADR 6). It signs in as the event store's owner and does nothing else.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from ledger.errors import StoreConflict, StoreUnavailable
from ledger.store import keys

log = structlog.get_logger()
DAY_S = 24 * 3600.0
# After a sweep that the store did not let come to its end; what it removed until then stays removed.
RETRY_S = 60.0


async def daily(stop: asyncio.Event, days: int) -> None:
    """Sweep now and once a day until `stop` is set."""
    while not stop.is_set():
        try:
            removed = await asyncio.to_thread(sweep, days, stop)
            log.info("old idempotency keys removed", removed=removed, older_than_days=days)
            pause_s = DAY_S
        except (StoreConflict, StoreUnavailable) as error:
            log.warning("old idempotency keys wait", error=str(error), code=error.code)
            pause_s = RETRY_S
        try:
            await asyncio.wait_for(stop.wait(), pause_s)
        except TimeoutError:
            continue


def sweep(days: int, stop: asyncio.Event) -> int:
    """Remove what is old enough, a page at a time until `stop` is set, and return how many keys that were."""
    removed = 0
    for swept in keys.remove_older_than(timedelta(days=days)):
        removed += swept.removed
        if stop.is_set():
            break
    return removed
