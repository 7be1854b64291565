"""A fault: one thing in the stored log that is not as it must be, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is wrong, in a word that stays the same; the sentence beside it says how."""

    MISSING_POSITION = "missing_position"
    MISSING_EVENT = "missing_event"
    UNRECORDED_EVENT = "unrecorded_event"
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


@dataclass(frozen=True, slots=True)
class Fault:
    kind: Kind
    detail: str
    position: int | None = None
    aggregate_id: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        where = []
        if self.position is not None:
            where.append(f"position {self.position}")
        if self.aggregate_id is not None:
            where.append(f"{self.aggregate_id} version {self.version}")
        return f"{', '.join(where) or 'the log'}: {self.kind}: {self.detail}"


def short(hash_: bytes | None) -> str:
    """Return enough of a hash to compare two by eye."""
    return "nothing" if hash_ is None else bytes(hash_).hex()[:16] + "…"
