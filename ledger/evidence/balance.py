"""A balance that proves itself: the event that set it, the event after it, and the proofs of both.

The next event is what makes the balance hold up to the instant asked for. When there is none under the head,
that is a statement, signed with the log's key: no Merkle tree proves absence, but a false statement can be
held against whoever signed it.

An event carries its account's state, open holds and all, and the next one repeats nearly all of it. So all of it
travels packed, and an answer stays below 8 KB with as many open holds as there may be (docs/proofs.md).
"""

from __future__ import annotations

import base64
import json
import lzma
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ledger.errors import NotYet
from ledger.evidence.verify_evidence import PACKING, YEAR_ONE, spelled
from ledger.store import succession, tree_heads
from ledger.store.connection import connection, translated
from ledger.store.proofs import Prover
from ledger.store.recorded import RecordedEvent, canonical_bytes
from ledger.store.sql import EVENT_COLUMNS

# A hash, an id, an instant: what has half as many bytes as letters, or fewer.
_LONG = re.compile(
    rb"([0-9a-f]{64})|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
)
_EVENT_AND_NEXT = f"""
SELECT j.position, {EVENT_COLUMNS} FROM journal AS j
JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.aggregate_id = %s AND j.version IN (%s, %s) AND j.position <= %s ORDER BY j.version
"""


def prove_balance(account_id: str, version: int) -> dict[str, Any]:
    """Return the proof of the balance that a version left, as JSON; `verify_evidence.py` checks it.

    Raises: NoTreeHead or NotYet when no signed head covers the version yet, LogKeyUnusable.
    """
    with connection() as conn:
        head = tree_heads.at_size(conn, None)
        with translated():
            parameters = (account_id, version, version + 1, head.tree_size)
            found = conn.execute(_EVENT_AND_NEXT, parameters, binary=True).fetchall()
        events = [(position, RecordedEvent(*columns)) for position, *columns in found]
        if not events or events[0][1].version != version:
            raise NotYet(f"version {version} of {account_id} is not under a signed head yet")
        prover = Prover(conn, head)
        paths = [prover.prove(position).path for position, _ in events]
        changes = [change for change in succession.changes(conn) if change.position <= head.tree_size]
    indices = [{"index": position - 1} for position, _ in events]
    lines = [text for (_, event), path in zip(events, paths, strict=True)
             for text in (canonical_bytes(event), " ".join(node.hex() for node in path).encode())]  # fmt: skip
    if changes:  # for whoever knows the log by an earlier key
        lines.append(json.dumps([change.note for change in changes], ensure_ascii=False).encode())
    proof = {"checkpoint": head.note, "event": indices[0], "next": indices[1] if indices[1:] else None,
             "balance_minor": events[0][1].state["balance_minor"], "packed": packed(b"\n".join(lines))}  # fmt: skip
    if not indices[1:]:
        signer = succession.signer_at(changes, head.tree_size)
        text = f"{signer.name} statement\n{account_id} has no version {version + 1} at tree size {head.tree_size}\n"
        proof["statement"] = signer.sign(text)
    return proof


def packed(text: bytes) -> str:
    """Return a text of UTF-8 as base85 of what `verify_evidence.unpack` makes the same text of."""
    short = _LONG.sub(_shortened, text)
    return base64.b85encode(lzma.compress(short, format=lzma.FORMAT_RAW, filters=PACKING)).decode()


def _shortened(match: re.Match[bytes]) -> bytes:
    digest, id_, instant = match.groups()
    if digest is not None:
        return b"\xfd" + bytes.fromhex(digest.decode())
    if id_ is not None:
        return b"\xfe" + UUID(id_.decode()).bytes
    try:
        microseconds = (datetime.fromisoformat(instant.decode()) - YEAR_ONE) // timedelta(microseconds=1)
    except ValueError:  # it only looks like one, in a text of somebody's
        return match[0]
    short = microseconds.to_bytes(8, "big")
    return b"\xff" + short if spelled(None, None, short) == match[0] else match[0]
