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
from ledger.store.hashing import canonical_json
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


def write_bundle(conn: Connection, target: Path, selection: Selection, head: StoredHead) -> int:
    """Write the bundle and return how many events are in it.

    Raises: NothingToProve, TooMuchEvidence, SuccessionBroken, LogKeyUnusable.
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


def _proven(events: Sequence[tuple[int, RecordedEvent]], prover: Prover) -> Iterator[tuple[str, bytes]]:
    for position, event in events:
        yield f"events/{position:012}.json", canonical_bytes(event)
        yield f"proofs/{position:012}.tlog-proof", prover.prove(position).to_tlog_proof().encode()
