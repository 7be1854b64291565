"""`--account`: one aggregate's events, each on its own and each proven to be under the last signed head."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.store import merkle, tree_heads
from ledger.store.merkle import InvalidProof
from ledger.store.proofs import Prover
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import Trust
from ledger.store.tree import Connection, TreeIncomplete
from ledger.store.tree_head_note import TreeHead
from ledger.verify import rows
from ledger.verify.chains import Chains
from ledger.verify.event_checks import check_event
from ledger.verify.faults import Fault, Kind
from ledger.verify.rows import Row
from ledger.verify.segment import Findings


def verify_account(conn: Connection, account_id: str, trust: Trust) -> Findings:
    """Check the events of one aggregate. What its absence of further events means, the whole log says."""
    findings = Findings()
    stored = tree_heads.last(conn)
    head: TreeHead | None = None
    if stored is not None:
        try:
            head = trust.open(stored.note)
        except InvalidNote as error:
            findings.add([Fault(Kind.HEAD, str(error), stored.tree_size)])
    prover = Prover(conn, stored) if stored and head else None
    chains = Chains(conn)
    for batch in rows.of_account(conn, account_id):
        chains.prepare(batch)
        for row in batch:
            findings.events += 1
            findings.add(check_event(row, chains.before(row), chains))
            if prover and head and row.position <= head.size:
                findings.add(_check_inclusion(row, prover, head))
    return findings


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
