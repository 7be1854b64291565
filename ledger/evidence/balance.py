"""A balance that proves itself: the event that set it, the event after it, and the proofs of both.

The next event is what makes the balance hold up to the instant asked for. When there is none under the head,
that is a statement, signed with the log's key: no Merkle tree proves absence, but a false statement can be
held against whoever signed it.

An event carries its account's state, open holds and all, and the next one repeats nearly all of it. So the entries
travel together, packed, and an answer stays below 8 KB with as many open holds as there may be (docs/proofs.md).
"""

from __future__ import annotations

import base64
import lzma
from collections.abc import Sequence
from typing import Any

from ledger.errors import NotYet
from ledger.evidence.parts import event_part, short_succession
from ledger.store import succession, tree_heads
from ledger.store.connection import connection, translated
from ledger.store.proofs import Prover
from ledger.store.recorded import RecordedEvent
from ledger.store.sql import EVENT_COLUMNS

# Of the ways in the standard library the one that packs ids of holds best: 15 % less than zlib. The dictionary holds
# three entries of any length, and text has no use for the position bits.
_FILTERS = [{"id": lzma.FILTER_LZMA1, "preset": 9, "dict_size": 1 << 18, "lc": 0, "lp": 0, "pb": 0}]
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
        parts = [event_part(prover, *positioned) for positioned in events]
        changes = succession.changes(conn)
        keys = short_succession(conn, changes, head)
    event, *later = parts
    proof = {"checkpoint": head.note, "event": event, "next": later[0] if later else None,
             "balance_minor": events[0][1].state["balance_minor"]}  # fmt: skip
    if keys:  # for whoever knows the log by an earlier key, and to show that the right one signed
        proof["succession"] = keys
        parts += keys["changes"]
    if not later:
        signer = succession.signer_at(changes, head.tree_size)
        text = f"{signer.name} statement\n{account_id} has no version {version + 1} at tree size {head.tree_size}\n"
        proof["statement"] = signer.sign(text)
    return {**proof, "entries": _packed([part.pop("entry") for part in parts])}


def _packed(entries: Sequence[str]) -> str:
    """Return entries, a line each, as base64 of LZMA: canonical JSON has no line break in it."""
    lines = "\n".join(entries).encode()
    return base64.b64encode(lzma.compress(lines, format=lzma.FORMAT_ALONE, filters=_FILTERS)).decode()
