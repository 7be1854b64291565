"""`--account`: one aggregate's events, each on its own and each proven to be under the last signed head."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ledger.store import history, merkle, tree_heads
from ledger.store.merkle import InvalidProof
from ledger.store.proofs import Prover
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import Trust
from ledger.store.tree import Connection, TreeIncomplete
from ledger.store.tree_head_note import TreeHead
from ledger.verify import rows, whole
from ledger.verify.chains import Chains
from ledger.verify.event_checks import check_event, fault_at, unreadable
from ledger.verify.faults import NONSENSE, Fault, Kind
from ledger.verify.request_keys import check_keys
from ledger.verify.rows import Row
from ledger.verify.segment import Findings
from ledger.verify.tree_checks import open_stored
from ledger.verify.whole import UNSIGNED_MAX


def verify_account(conn: Connection, account_id: str, trust: Trust, *, reads_anything: bool = False) -> Findings:
    """Check the events of one aggregate. That none is missing at its end, only the whole log says."""
    findings = Findings()
    stored = tree_heads.last(conn)
    head: TreeHead | None = None
    if stored is not None:
        try:
            head = open_stored(trust, stored.note)
            if head.size != stored.tree_size:
                raise InvalidNote(f"stored as the head of size {stored.tree_size}, signed for size {head.size}")
        except InvalidNote as error:
            head = None
            findings.add([Fault(Kind.HEAD, str(error), stored.tree_size)])
    prover = Prover(conn, stored) if stored and head else None
    findings.add(whole.check_unrecorded(conn, account_id))
    chains, now = Chains(conn), history.now()
    for batch in rows.of_account(conn, account_id):
        if reads_anything:
            batch = [rows.mended(row) for row in batch]
        chains.prepare(batch)
        findings.add(check_keys(conn, batch))
        for row in batch:
            findings.events += 1
            try:
                findings.add(check_event(row, chains.before(row), chains))
                findings.add(_check_place(row, prover, head, now))
            except NONSENSE as error:
                if not reads_anything:
                    raise  # and it is read again, ready for anything
                findings.add([unreadable(row, error)])
            if reads_anything and (fields := rows.unreadable_fields(row)):
                findings.add([fault_at(row, Kind.UNREADABLE, f"no value can be read of: {', '.join(fields)}")])
    return findings


def _check_place(row: Row, prover: Prover | None, head: TreeHead | None, now: datetime) -> Iterator[Fault]:
    if row.position < 1:
        yield fault_at(row, Kind.POSITION, f"{row.event_type} stands before the first position, 1")
    elif prover and head and row.position <= head.size:
        yield from _check_inclusion(row, prover, head)
    elif row.hash is not None and now - row.recorded_at > UNSIGNED_MAX:
        # By the event's own time, which is hashed: nobody moves a row out of sight by its position.
        yield fault_at(row, Kind.UNSIGNED, f"under no signed head since {now - row.recorded_at}")


def _check_inclusion(row: Row, prover: Prover, head: TreeHead) -> Iterator[Fault]:
    try:
        proof = prover.prove(row.position)
        if proof.leaf_hash != row.event_hash:
            # No step of the event's own path reads it, and a proof of any neighbour would.
            raise InvalidProof("the tile holds another hash at its place")
        merkle.check_inclusion(row.event_hash, proof.index, head.size, proof.path, head.root)
    except (InvalidProof, TreeIncomplete) as error:
        detail = f"not proven under the head of size {head.size}: {error}"
        yield Fault(Kind.TILE, detail, row.position, row.aggregate_id, row.version)
