"""Canonical bytes and hashes: what every proof rests on.

The canonical bytes of an event are the RFC 8785 JSON of all its columns but `hash`; the hash is the
RFC 9162 leaf hash of those bytes. orjson with sorted keys writes the same bytes as the rfc8785 package for
the values allowed here (strings, integers up to 2^53 − 1, booleans, null; ASCII keys), at a twentieth of
the cost; tests/property holds it to that.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

HASH_BYTES = 32
NO_HASH = bytes(HASH_BYTES)  # before an aggregate's first event, and before position 1
_LEAF_PREFIX = b"\x00"  # RFC 9162 section 2.1.1


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value. Raises TypeError for what JSON cannot hold exactly."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)


def leaf_hash(canonical_bytes: bytes) -> bytes:
    return sha256(_LEAF_PREFIX + canonical_bytes).digest()


def extend_running_hash(running_hash: bytes, event_hash: bytes) -> bytes:
    """Return the journal's running hash one event further on."""
    return sha256(running_hash + event_hash).digest()
