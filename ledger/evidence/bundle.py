"""Evidence bundles: events with their proofs, a tree head, the key and the verifier, in one zip.

Whoever receives one needs neither this project nor its operator: `verify_evidence.py` inside checks every
file. The manifest is signed with the log's key and the archive has one spelling, so no byte of the bundle can
change unnoticed; and what the manifest states about completeness can be held against the operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import ledger.domain
from ledger.errors import LedgerError
from ledger.evidence.parts import whole_succession
from ledger.evidence.selection import Selection
from ledger.evidence.verify_evidence import SUCCESSION, write_archive
from ledger.store import succession, tree_heads
from ledger.store.hashing import canonical_json, leaf_hash
from ledger.store.merkle import InvalidProof, check_inclusion
from ledger.store.proofs import Prover
from ledger.store.recorded import RecordedEvent, canonical_bytes
from ledger.store.signed_note import Signer
from ledger.store.tree import Connection
from ledger.store.tree_heads import StoredHead

_HERE = Path(__file__).parent
VERIFIER = _HERE / "verify_evidence.py"
README = _HERE / "README_bundle.md"
DOMAIN = Path(ledger.domain.__file__).parent


class NothingToProve(LedgerError):
    """No event that a signed head covers was asked for, or one among others that none covers."""

    code = "nothing_to_prove"
    status = 404


class NotProven(LedgerError):
    """What is stored does not lead to the signed head, or a version is missing: run verify_ledger."""

    code = "not_proven"
    status = 503


def write_bundle(conn: Connection, target: Path, selection: Selection, head: StoredHead) -> int:
    """Write the bundle and return how many events are in it.

    Raises: NothingToProve, NotProven, TooMuchEvidence, SuccessionBroken, LogKeyUnusable.
    """
    changes, last = succession.changes(conn), tree_heads.at_size(conn, None)
    # The key of the last head, which the log's own changes lead to.
    signer = succession.signer_at(changes, last.tree_size)
    events = selection.read(conn, head.tree_size)
    if not events:
        raise NothingToProve(f"no event of {selection.what} is under the head of size {head.tree_size}")
    if missing := set(selection.event_ids) - {event.event_id for _, event in events}:
        named = ", ".join(sorted(map(str, missing)))
        raise NothingToProve(f"of {selection.what} these are not under the head of size {head.tree_size}: {named}")
    if selection.account_id is not None:
        _require_all(events)
    files = dict((*_frame(head, signer), *_proven(events, Prover(conn, head))))
    if keys := whole_succession(conn, changes, head, last):
        files[SUCCESSION] = canonical_json(keys)
    statements = [f"# {line}" for line in selection.statements(events, head.tree_size)]
    digests = [f"{sha256(content).hexdigest()}  {name}" for name, content in files.items()]
    files["MANIFEST"] = signer.sign("\n".join([f"{signer.name} evidence", *statements, *digests]) + "\n").encode()
    write_archive(target, files)
    return len(events)


def _frame(head: StoredHead, signer: Signer) -> Iterator[tuple[str, bytes]]:
    yield "README.md", README.read_bytes()
    yield "verify_evidence.py", VERIFIER.read_bytes()
    yield "checkpoint", head.note.encode()
    yield "key", f"{signer.verifier.vkey}\n".encode()
    yield "ledger/__init__.py", b""
    for module in sorted(DOMAIN.glob("*.py")):
        yield f"ledger/domain/{module.name}", module.read_bytes()


def _require_all(events: Sequence[tuple[int, RecordedEvent]]) -> None:
    """Raises: NotProven unless these are versions 1, 2, 3, …: the manifest states that they are, and is signed."""
    for version, (position, event) in enumerate(events, start=1):
        if event.version != version:
            raise NotProven(f"version {version} of {event.aggregate_id} is missing before position {position}")


def _proven(events: Sequence[tuple[int, RecordedEvent]], prover: Prover) -> Iterator[tuple[str, bytes]]:
    """Yield entries and proofs, each checked: who hands out evidence is to hear first that it does not hold."""
    root, size = prover.head.root, prover.head.tree_size
    for position, event in events:
        proof = prover.prove(position)
        try:
            entry = canonical_bytes(event)
            if not leaf_hash(entry) == event.hash == proof.leaf_hash:
                raise InvalidProof("its bytes have another hash than its leaf")
            check_inclusion(event.hash, proof.index, size, proof.path, root)
        except (InvalidProof, TypeError) as error:  # TypeError: a float, which no command wrote
            where = f"{event.aggregate_id} version {event.version} at position {position}"
            raise NotProven(f"{where} is not proven: {error}") from error
        yield f"events/{position:012}.json", entry
        yield f"proofs/{position:012}.tlog-proof", proof.to_tlog_proof().encode()
