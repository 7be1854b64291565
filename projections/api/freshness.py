"""Read your writes: a query waits for the version its account has in the event store, up to a bound.

Normally the read model is milliseconds behind, and the first look finds everything. A caller who names
`min_version` would rather be told `not_yet` than get an older answer; for everyone else an answer that is a
second old, and says for which position it is true, is better than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ledger import selectors as ledger
from ledger.api.base import in_thread
from ledger.domain.errors import AccountNotFound
from ledger.errors import NotYet

T = TypeVar("T")
WAIT_S, ASKED_WAIT_S = 1.0, 2.0  # by default, and for a caller who asked for a version
POLL_S_FIRST, POLL_S_MAX = 0.002, 0.01


async def look_until(is_enough: Callable[[T], bool], look: Callable[[], T], wait_s: float, found: T) -> T:
    """Look again until what was found is enough, and return the last that was found when the time is over."""
    loop = asyncio.get_running_loop()
    deadline, pause_s = loop.time() + wait_s, POLL_S_FIRST
    while not is_enough(found) and loop.time() < deadline:
        await asyncio.sleep(pause_s)
        pause_s = min(POLL_S_MAX, 2 * pause_s)
        found = await in_thread(look)
    return found


async def fresh(account_id: str, min_version: int | None, look: Callable[[], T], version_of: Callable[[T], int]) -> T:
    """Return what `look` finds of an account once it has the version wanted.

    **Raises** AccountNotFound when the event store has no such account; NotYet when the read model has none
    of it yet, or not the version that was asked for.
    """
    head, found = await in_thread(_first_look, account_id, look)
    wanted = head if min_version is None else max(1, min_version)
    wait_s = WAIT_S if min_version is None else ASKED_WAIT_S
    found = await look_until(lambda found: version_of(found) >= wanted, look, wait_s, found)
    version = version_of(found)
    if version == 0 or (min_version is not None and version < wanted):
        detail = f"the read model has account {account_id} at version {version}, not yet at {wanted}"
        raise NotYet(detail, account_id=account_id, version=version, min_version=wanted)
    return found


def _first_look(account_id: str, look: Callable[[], T]) -> tuple[int, T]:
    head = ledger.head_version(account_id)
    if not head:
        raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
    return head, look()
