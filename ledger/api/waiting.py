"""A query that has to see something waits for it, up to a bound.

`min_position` names a position of the journal that the answer must take in. Each answer says in a header which
one it does; here is how the event store's own queries learn it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from rest_framework.request import Request

from ledger import selectors
from ledger.api import parameters
from ledger.api.base import in_thread
from ledger.api.schema import query
from ledger.errors import NotYet

T = TypeVar("T")
ASKED_WAIT_S = 2.0  # for a caller who asked for a version or a position
POLL_S_FIRST, POLL_S_MAX = 0.002, 0.01
MIN_POSITION = query("min_position", int, "wait up to 2 s for this position of the journal, or answer 503 not_yet")


async def look_until(is_enough: Callable[[T], bool], look: Callable[[], T], wait_s: float, found: T) -> T:
    """Look again until what was found is enough, and return the last that was found when the time is over."""
    loop = asyncio.get_running_loop()
    deadline, pause_s = loop.time() + wait_s, POLL_S_FIRST
    while not is_enough(found) and loop.time() < deadline:
        await asyncio.sleep(pause_s)
        pause_s = min(POLL_S_MAX, 2 * pause_s)
        found = await in_thread(look)
    return found


def min_position(request: Request) -> int:
    """Return the position that the answer must take in; 0 when the caller names none."""
    return parameters.number(request, "min_position", 0)


def check_position(position: int, wanted: int, whose: str) -> None:
    """**Raises** NotYet when a position that was asked for is not reached."""
    if position < wanted:
        detail = f"{whose} is at position {position}, not yet at {wanted}"
        raise NotYet(detail, position=position, min_position=wanted)


async def journal_head(request: Request) -> int:
    """Return the journal's head, once it has reached the `min_position` that was asked for.

    Whatever is read from the event store after this call takes in everything up to it. **Raises** NotYet.
    """
    wanted = min_position(request)
    head = await in_thread(selectors.head_position)
    head = await look_until(lambda head: head >= wanted, selectors.head_position, ASKED_WAIT_S, head)
    check_position(head, wanted, "the journal")
    return head
