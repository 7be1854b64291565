"""A fault: one thing in the stored log that is not as it must be, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import psycopg


class Kind(StrEnum):
    """What is wrong, in a word that stays the same; the sentence beside it says how."""

    POSITION = "position"
    MISSING_POSITION = "missing_position"
    MISSING_EVENT = "missing_event"
    UNRECORDED_EVENT = "unrecorded_event"
    REPEATED_EVENT = "repeated_event"
    OUTBOX = "outbox"
    JOURNAL_DIFFERS = "journal_differs"
    HASH = "hash"
    PREVIOUS_HASH = "previous_hash"
    VERSION = "version"
    RECORDED_AT = "recorded_at"
    STATE = "state"
    EVENT_ID = "event_id"
    RUNNING_HASH = "running_hash"
    COMMAND = "command"
    BOOKS = "books"
    TIME = "time"
    TILE = "tile"
    HEAD = "head"
    KEY = "key"
    UNSIGNED = "unsigned"
    REWRITTEN = "rewritten"
    ILLEGAL = "illegal"
    IDEMPOTENCY_KEY = "idempotency_key"
    UNREADABLE = "unreadable"


# What checking raises over values that no command of ours wrote. Such a value is a fault in its place, never the end
# of the verification.
NONSENSE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
            psycopg.DataError)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """`after_position`: the last position that what has none itself would stand after."""

    kind: Kind
    detail: str
    position: int | None = None
    aggregate_id: str | None = None
    version: int | None = None
    after_position: int | None = None

    def __str__(self) -> str:
        where = []
        if self.position is not None:
            where.append(f"position {self.position}")
        if self.after_position is not None:
            where.append(f"after position {self.after_position}" if self.after_position else "before position 1")
        if self.aggregate_id is not None:
            where.append(f"{self.aggregate_id} version {self.version}")
        return f"{', '.join(where) or 'the log'}: {self.kind}: {self.detail}"


def short(hash_: bytes | None) -> str:
    """Return enough of a hash to compare two by eye."""
    return "nothing" if hash_ is None else bytes(hash_).hex()[:16] + "…"
