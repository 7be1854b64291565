"""What travels on the bus and leaves by the API: one event with its place in the journal, as one JSON object.

The same object is a JetStream message's body, an element of GET /api/v1/events and of a websocket frame, so
a consumer that reads one reads all.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from ledger.domain.instants import format_instant, parse_instant
from ledger.store.journal import Sequenced
from ledger.store.recorded import RecordedEvent

STREAM = "LEDGER"
SUBJECT_PREFIX = "ledger.events."
NUDGE_SUBJECT = "ledger.nudge"  # core NATS, outside the stream: "the outbox has something"


def subject_of(event_type: str) -> str:
    return SUBJECT_PREFIX + event_type


def to_envelope(sequenced: Sequenced) -> dict[str, Any]:
    """Return the JSON object of one sequenced event. Hashes are lower-case hex, instants RFC 3339 UTC."""
    event = sequenced.event
    return {
        "position": sequenced.position,
        "event_id": str(event.event_id),
        "aggregate_type": event.aggregate_type,
        "aggregate_id": event.aggregate_id,
        "version": event.version,
        "event_type": event.event_type,
        "schema_version": event.schema_version,
        "data": event.data,
        "metadata": event.metadata,
        "state": event.state,
        "recorded_at": format_instant(event.recorded_at),
        "effective_at": format_instant(event.effective_at),
        "previous_hash": event.previous_hash.hex(),
        "hash": event.hash.hex(),
        "command_id": str(sequenced.command_id),
        "command_index": sequenced.command_index,
        "command_size": sequenced.command_size,
        "running_hash": sequenced.running_hash.hex(),
    }


def encode(sequenced: Sequenced) -> bytes:
    return orjson.dumps(to_envelope(sequenced))


def decode(body: bytes) -> dict[str, Any]:
    """Return the envelope of a message. Raises ValueError for what is not one."""
    envelope = orjson.loads(body)
    if not isinstance(envelope, dict) or "position" not in envelope:
        raise ValueError("a message without a position is no event of ours")
    return envelope


def from_envelope(envelope: dict[str, Any]) -> Sequenced:
    """Return the sequenced event of an envelope. Raises KeyError or ValueError for a malformed one."""
    event = RecordedEvent(
        event_id=UUID(envelope["event_id"]),
        aggregate_type=envelope["aggregate_type"],
        aggregate_id=envelope["aggregate_id"],
        version=envelope["version"],
        event_type=envelope["event_type"],
        schema_version=envelope["schema_version"],
        data=envelope["data"],
        metadata=envelope["metadata"],
        state=envelope["state"],
        recorded_at=parse_instant(envelope["recorded_at"]),
        effective_at=parse_instant(envelope["effective_at"]),
        previous_hash=bytes.fromhex(envelope["previous_hash"]),
        hash=bytes.fromhex(envelope["hash"]),
    )
    return Sequenced(
        event=event,
        position=envelope["position"],
        command_id=UUID(envelope["command_id"]),
        command_index=envelope["command_index"],
        command_size=envelope["command_size"],
        running_hash=bytes.fromhex(envelope["running_hash"]),
    )
