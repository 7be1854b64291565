"""Ids for commands: version 4, from randomness that is fetched for many of them at a time.

**Why** not uuid4: for every id it lets go of Python's lock to ask the kernel, and beside a busy writer thread waits
to have it back: 110 µs of each request, where the id itself takes 2 (ADR 16).
"""

from __future__ import annotations

import os
from uuid import UUID

ID_BYTES = 16
FETCHED_IDS = 256
_spare: list[bytes] = []
# A copy of the process must not give out the same ones.
os.register_at_fork(after_in_child=_spare.clear)


def new_id() -> UUID:
    """Return an id that nobody else has. From any thread."""
    try:
        random = _spare.pop()
    except IndexError:
        fetched = os.urandom(ID_BYTES * FETCHED_IDS)
        random, *others = (fetched[start : start + ID_BYTES] for start in range(0, len(fetched), ID_BYTES))
        _spare.extend(others)
    return UUID(bytes=random, version=4)
