"""Pieces of evidence as JSON: an event with its inclusion proof, and how the log's keys followed one another.

Which key counts at which size the log itself says, so evidence brings the events that say it, proven like any
other: `verify_evidence.py` follows them from the key that its reader believes.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from ledger.store import journal, proofs
from ledger.store.proofs import Prover
from ledger.store.recorded import RecordedEvent, canonical_bytes
from ledger.store.succession import Change
from ledger.store.tree import Connection
from ledger.store.tree_heads import StoredHead


def event_part(prover: Prover, position: int, event: RecordedEvent) -> dict[str, Any]:
    """Return an event's entry with its index and path."""
    proof = prover.prove(position)
    return {"entry": canonical_bytes(event).decode(), "index": proof.index, "path": _base64(proof.path)}


def short_succession(conn: Connection, changes: Sequence[Change], head: StoredHead) -> dict[str, Any] | None:
    """Return what shows which key signs a head: the last change under it, and the notes of those before.

    None where the log has had one key. **Shape** some 2 KB, and half of one for each change before the last.
    """
    under = [change for change in changes if change.position <= head.tree_size]
    if not under:
        return None
    return {"changes": _proven(conn, under[-1:], head), "notes": [change.note for change in under[:-1]]}


def whole_succession(
    conn: Connection, changes: Sequence[Change], head: StoredHead, last: StoredHead
) -> dict[str, Any] | None:
    """Return what shows which key signs any head up to the `last`, and that this one continues `head`."""
    under = [change for change in changes if change.position <= last.tree_size]
    if not under:
        return None
    found: dict[str, Any] = {"changes": _proven(conn, under, last)}
    if head.tree_size < last.tree_size:
        path = proofs.prove_consistency(conn, head.tree_size, last.tree_size).path
        found |= {"checkpoint": last.note, "consistency": _base64(path)}
    return found


def _proven(conn: Connection, changes: Sequence[Change], head: StoredHead) -> list[dict[str, Any]]:
    prover = Prover(conn, head)
    events = [journal.read(change.position - 1, 1)[0].event for change in changes]
    return [event_part(prover, change.position, event) for change, event in zip(changes, events, strict=True)]


def _base64(path: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(node).decode() for node in path]
