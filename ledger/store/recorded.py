"""A recorded event: an event as the store holds it, with its place in its aggregate and its hash.

`hash_of` is the only way a hash is computed, so that append, verification and proofs cannot disagree. A named
tuple, because a frozen dataclass takes four times as long to make, and every event is made several times.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha1
from typing import Any, NamedTuple
from uuid import UUID, SafeUUID

from ledger.domain.instants import format_instant
from ledger.errors import Malformed
from ledger.store.hashing import canonical_json, leaf_hash

# An entry of the log has its length in two bytes before it (c2sp.org/tlog-tiles). The fields that the API takes
# stay far below; what comes past it is refused rather than written where no auditor's tool could read it.
ENTRY_BYTES_MAX = 65_535


# Of the 128 bits of a UUID version and variant are fixed (RFC 9562 section 5.5).
_VARYING_BITS = ~(0xF000 << 64 | 0xC000 << 48)
_IS_SAFE = SafeUUID.unknown
_FIXED_BITS = 0x5000 << 64 | 0x8000 << 48


class EventTooLarge(Malformed):
    """The event with the state after it would not fit into the log: say less in it."""

    code = "event_too_large"


class RecordedEvent(NamedTuple):
    event_id: UUID
    aggregate_type: str
    aggregate_id: str
    version: int
    event_type: str
    schema_version: int
    data: dict[str, Any]
    metadata: dict[str, Any]
    state: dict[str, Any]
    recorded_at: datetime
    effective_at: datetime
    previous_hash: bytes
    hash: bytes


def event_id_of(command_id: UUID, index: int) -> UUID:
    """Return the id of a command's event at an index: known before it is written, so it can be looked up."""
    return _uuid5(sha1(command_id.bytes + b"%d" % index, usedforsecurity=False).digest())


def event_ids_of(command_id: UUID, size: int) -> list[UUID]:
    """Return the ids of a command's events, in order."""
    begun, made = sha1(command_id.bytes, usedforsecurity=False), []
    for index in range(size):
        one = begun.copy()
        one.update(b"%d" % index)
        made.append(_uuid5(one.digest()))
    return made


def _uuid5(digest: bytes) -> UUID:
    """Return what uuid5 makes of a digest, without what UUID's own constructor does for the forms it also takes."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", int.from_bytes(digest[:16], "big") & _VARYING_BITS | _FIXED_BITS)
    object.__setattr__(made, "is_safe", _IS_SAFE)
    return made


def canonical_bytes(event: RecordedEvent) -> bytes:
    """Return the bytes that are hashed: every column but the hash itself, as RFC 8785 JSON."""
    recorded_at = format_instant(event.recorded_at)
    is_backdated = event.effective_at != event.recorded_at
    return canonical_json(
        {
            "aggregate_id": event.aggregate_id,
            "aggregate_type": event.aggregate_type,
            "data": event.data,
            "effective_at": format_instant(event.effective_at) if is_backdated else recorded_at,
            "event_id": event.event_id,  # which orjson writes as the text it is
            "event_type": event.event_type,
            "metadata": event.metadata,
            "previous_hash": event.previous_hash.hex(),
            "recorded_at": recorded_at,
            "schema_version": event.schema_version,
            "state": event.state,
            "version": event.version,
        }
    )


def hash_of(event: RecordedEvent) -> bytes:
    return leaf_hash(canonical_bytes(event))


def sealed(event: RecordedEvent) -> RecordedEvent:
    """Return the event with its hash filled in. Raises: EventTooLarge."""
    entry = canonical_bytes(event)
    if len(entry) > ENTRY_BYTES_MAX:
        raise EventTooLarge(
            f"the {event.event_type} on {event.aggregate_id} would have {len(entry)} bytes; an event has at most "
            f"{ENTRY_BYTES_MAX}",
            bytes_max=ENTRY_BYTES_MAX,
        )
    # Not RecordedEvent(…), which takes the thirteen apart to put them together again, twice as long.
    return tuple.__new__(RecordedEvent, (*event[:-1], leaf_hash(entry)))
