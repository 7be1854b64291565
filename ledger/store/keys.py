"""Removes idempotency keys that are older than promised. The one deletion there is beside the outbox's.

The application's role cannot do it, and the database refuses it for keys younger than a day: the owner signs in
for it (ADR 6). Keys are walked through in their own order, so that no index by time is written with each command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.store import sql
from ledger.store.connection import owner_connection, translated

PAGE = 5_000  # keys looked at in one transaction: some 10 ms


@dataclass(frozen=True, slots=True)
class Swept:
    """A page of keys: how many were looked at, and how many of them were removed."""

    seen: int
    removed: int


def remove_older_than(age: timedelta) -> Iterator[Swept]:
    """Remove every key that was recorded longer ago than `age`, by the store's clock, a page at a time.

    Raises: StoreUnavailable, StoreConflict; what is removed stays removed, and the rest is for the next call.
    """
    with owner_connection() as conn, translated():
        (now,) = conn.execute(sql.NOW).fetchone() or (None,)
        assert isinstance(now, datetime), "a clock always tells a time"
        last = ""
        while True:
            seen, page_end = conn.execute(sql.PAGE_OF_KEYS, (last, PAGE)).fetchone() or (0, "")
            if not seen:
                return
            yield Swept(seen, conn.execute(sql.REMOVE_KEYS, (last, page_end, now - age)).rowcount)
            last = page_end
