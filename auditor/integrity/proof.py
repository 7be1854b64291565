"""An inclusion proof as a drawing: each step from the leaf to the root, with both hashes and what they make.

It does not repeat what the proof says of itself: every hash on the way is computed here, from the event's bytes
up, and the signature over the root is verified. Source: RFC 9162 section 2.1.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from auditor.integrity.trust import trust
from ledger.store import journal, merkle, proofs
from ledger.store.connection import connection
from ledger.store.hashing import leaf_hash
from ledger.store.journal import Sequenced
from ledger.store.proofs import InclusionProof
from ledger.store.recorded import canonical_bytes
from ledger.store.signed_note import InvalidNote

POSITION_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class Step:
    """Two neighbours and their parent. `first` to `last` are the positions that the sibling covers."""

    level: int
    ours: bytes
    sibling: bytes
    is_sibling_left: bool
    first: int
    last: int
    parent: bytes


@dataclass(frozen=True, slots=True)
class DrawnProof:
    """`signature_error` is empty when a key of the log signed the head."""

    sequenced: Sequenced
    entry: str
    leaf: bytes
    proof: InclusionProof
    steps: tuple[Step, ...]
    signature_error: str

    @property
    def root(self) -> bytes:
        return self.steps[-1].parent if self.steps else self.leaf

    @property
    def is_leaf_stored(self) -> bool:
        return self.leaf == self.proof.leaf_hash == bytes(self.sequenced.event.hash)

    @property
    def is_root_signed(self) -> bool:
        return self.root == self.proof.head.root

    @property
    def is_good(self) -> bool:
        return self.is_leaf_stored and self.is_root_signed and not self.signature_error


def draw(position: int) -> DrawnProof:
    """Prove a position under the last head. Raises: EventNotFound, NoTreeHead, NotYet, LogKeyUnusable."""
    sequenced = _at(position)
    with connection() as conn:
        proof = proofs.prove_inclusion(conn, position)
    entry = canonical_bytes(sequenced.event)
    leaf = leaf_hash(entry)
    steps = tuple(path_steps(leaf, proof.index, proof.head.tree_size, proof.path))
    return DrawnProof(sequenced, entry.decode(), leaf, proof, steps, _signature_error(proof.head.note))


def position_named(text: str) -> int:
    """Return the position of an event by its id or by the position itself. Raises: EventNotFound."""
    if text.isascii() and text.isdigit():
        if 0 < len(text) <= POSITION_DIGITS_MAX and int(text) > 0:
            return int(text)
        raise proofs.EventNotFound("positions begin at 1")
    try:
        event_id = UUID(text)
    except ValueError as error:
        raise proofs.EventNotFound("an event is named by its id (a UUID) or by its position (a number)") from error
    with connection() as conn:
        return proofs.position_of(conn, event_id)


def event_id_at(position: int) -> UUID:
    """Raises: EventNotFound."""
    return _at(position).event.event_id


def _at(position: int) -> Sequenced:
    found = journal.read(position - 1, 1)
    if not found:
        raise proofs.EventNotFound(f"the journal has no position {position}")
    return found[0]


def path_steps(leaf: bytes, index: int, size: int, path: tuple[bytes, ...]) -> list[Step]:
    """Return the way from a leaf to the root, the leaf's own step first."""
    steps, ours = [], leaf
    for level, (sibling, (start, end)) in enumerate(zip(path, _sibling_ranges(index, size), strict=True)):
        is_left = start < index
        parent = merkle.node_hash(sibling, ours) if is_left else merkle.node_hash(ours, sibling)
        steps.append(Step(level, ours, sibling, is_left, start + 1, end, parent))
        ours = parent
    return steps


def _sibling_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the leaves that each hash of a path stands for, in the path's order."""
    ranges, start, end = [], 0, size
    while end - start > 1:
        middle = start + merkle.split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _signature_error(note: str) -> str:
    try:
        trust().open(note)
    except InvalidNote as error:
        return str(error)
    return ""
