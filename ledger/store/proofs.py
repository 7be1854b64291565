"""Proofs out of the stored tree: that an event is under a head, and that one head continues another.

A proof costs a handful of key look-ups, whatever the size of the journal: the tiles on the way from a leaf to
the root, two or three of 8 KB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger.errors import LedgerError, Malformed, NotYet
from ledger.store import merkle, sql, tree_heads
from ledger.store.connection import translated
from ledger.store.tree import Connection, TreeReader
from ledger.store.tree_head_note import write_add_checkpoint, write_tlog_proof
from ledger.store.tree_heads import StoredHead


class EventNotFound(LedgerError):
    """There is no such event, or the journal has not ordered it yet."""

    code = "event_not_found"
    status = 404


class WrongOrder(Malformed):
    """A consistency proof leads from a smaller tree to a larger one."""

    code = "wrong_order"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    position: int
    leaf_hash: bytes
    path: tuple[bytes, ...]
    head: StoredHead

    @property
    def index(self) -> int:
        """The leaf's place in the tree: RFC 9162 counts from 0, positions from 1."""
        return self.position - 1

    def to_tlog_proof(self) -> str:
        return write_tlog_proof(self.index, self.path, self.head.note)

    def to_json(self) -> dict[str, Any]:
        return {
            "position": self.position,
            "index": self.index,
            "leaf_hash": self.leaf_hash.hex(),
            "path": [node.hex() for node in self.path],
            "tree_size": self.head.tree_size,
            "root_hash": self.head.root.hex(),
            "checkpoint": self.head.note,
        }


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    first: StoredHead
    second: StoredHead
    path: tuple[bytes, ...]

    def to_add_checkpoint(self) -> str:
        return write_add_checkpoint(self.first.tree_size, self.path, self.second.note)

    def to_json(self) -> dict[str, Any]:
        return {
            "first": {"tree_size": self.first.tree_size, "checkpoint": self.first.note},
            "second": {"tree_size": self.second.tree_size, "checkpoint": self.second.note},
            "path": [node.hex() for node in self.path],
        }


class Prover:
    """Proves positions under one head; many of one bundle share the tiles it has read."""

    def __init__(self, conn: Connection, head: StoredHead) -> None:
        self.head = head
        self._reader = TreeReader(conn, head.tree_size)

    def prove(self, position: int) -> InclusionProof:
        """Raises: NotYet when the head does not reach the position."""
        if position > self.head.tree_size:
            raise NotYet(f"position {position} is not under the head of size {self.head.tree_size}; a later one has it")
        index, range_hash = position - 1, self._reader.range_hash
        path = merkle.inclusion_path(index, self.head.tree_size, range_hash)
        return InclusionProof(position, range_hash(index, index + 1), tuple(path), self.head)


def prove_inclusion(conn: Connection, position: int, tree_size: int | None = None) -> InclusionProof:
    """Prove a position under the head of a size, or under the last. Raises: NoTreeHead, NotYet."""
    return Prover(conn, tree_heads.at_size(conn, tree_size)).prove(position)


def prove_consistency(conn: Connection, first: int, second: int | None) -> ConsistencyProof:
    """Prove that the head of one size continues that of a smaller one. Raises: NoTreeHead, WrongOrder."""
    later, earlier = tree_heads.at_size(conn, second), tree_heads.at_size(conn, first)
    if earlier.tree_size > later.tree_size:
        raise WrongOrder(f"a tree of size {later.tree_size} does not continue one of size {earlier.tree_size}")
    path = merkle.consistency_path(first, later.tree_size, TreeReader(conn, later.tree_size).range_hash)
    return ConsistencyProof(earlier, later, tuple(path))


def position_of(conn: Connection, event_id: UUID) -> int:
    """Raises: EventNotFound."""
    with translated():
        row = conn.execute(sql.POSITION_OF_EVENT, (event_id,)).fetchone()
    if row is None:
        raise EventNotFound(f"the journal has no event {event_id}")
    return int(row[0])
