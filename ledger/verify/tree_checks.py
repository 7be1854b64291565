"""Checks of the Merkle log along the journal: tiles of its leaves, stored heads against the tree and their signatures.

Tiles above those of the leaves, and what is stored where no tile and no head can be: `ledger.verify.tile_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from ledger.store.connection import translated
from ledger.store.merkle import CompactRange, LeafList, complete_subtrees, fold
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import Trust
from ledger.store.tiles import TILE_HEIGHT, TILE_WIDTH
from ledger.store.tree import Connection, TreeIncomplete, TreeReader
from ledger.store.tree_head_note import TreeHead
from ledger.verify.event_checks import NONE
from ledger.verify.faults import NONSENSE, Fault, Kind, short
from ledger.verify.journal_checks import CLOCK_SLACK
from ledger.verify.rows import Row
from ledger.verify.tile_checks import explain_leaf_tile

_TILES = "SELECT tile_index, hashes, root FROM tiles WHERE level = 0 AND tile_index >= %s AND tile_index < %s"
_HEADS = """
SELECT tree_size, note, signed_at, clock_timestamp() FROM tree_heads WHERE tree_size > %s AND tree_size <= %s
"""
_SIGNED_BEFORE = "SELECT signed_at FROM tree_heads WHERE tree_size <= %s ORDER BY tree_size DESC LIMIT 1"


class _Head(NamedTuple):
    """A stored head; `now` is the database's clock when it was read."""

    note: str
    signed_at: datetime | None
    now: datetime


class LeafCheck:
    """Follows leaves in order from a tile's boundary: level-0 tiles, and the heads signed on the way.

    A tile at a time: its 256 leaves are compared in one piece and hashed once, and a head's root follows from
    the roots of the tiles before it. `covered`: the size of the last signed head; full tiles below it must be
    stored.
    """

    def __init__(self, conn: Connection, after: int, up_to: int, covered: int, trust: Trust) -> None:
        assert after % TILE_WIDTH == 0, "a range of leaves starts where a tile does"
        self._trust, self._covered = trust, covered
        with translated():
            first, last = after // TILE_WIDTH, -(-up_to // TILE_WIDTH)
            tiles = conn.execute(_TILES, (first, last), binary=True)
            self._tiles = {index: (hashes, root) for index, hashes, root in tiles}
            self._heads = {size: _Head(*head) for size, *head in conn.execute(_HEADS, (after, up_to)).fetchall()}
            before = conn.execute(_SIGNED_BEFORE, (after,)).fetchone() if self._heads else None
        self._signed_at: datetime | None = before[0] if before else None
        self._rows: list[Row] = []
        self._tree = _tiles_before(conn, after)

    def check(self, row: Row) -> Iterable[Fault]:
        """Return the faults of the tile before, once a row begins another."""
        rows = self._rows
        if rows and (row.position - 1) // TILE_WIDTH != (rows[0].position - 1) // TILE_WIDTH:
            self._rows = [row]
            return self._check_tile(rows)
        rows.append(row)
        return NONE

    def finish(self) -> Iterator[Fault]:
        if self._rows:
            yield from self._check_tile(self._rows)
        for size in self._heads:
            yield Fault(Kind.HEAD, f"a head of size {size} was signed, and the journal has no such position", size)

    def _check_tile(self, rows: Sequence[Row]) -> list[Fault]:
        """Check the tile that some rows, all that there are of it, are the leaves of."""
        index = (rows[0].position - 1) // TILE_WIDTH
        leaves = [row.event_hash for row in rows]
        hashes, tree = LeafList(leaves), self._tree
        if tree is not None and (tree.size, rows[-1].position) != (index, index * TILE_WIDTH + len(rows)):
            tree = None  # a position is missing, so nothing can be said of roots from here on
        faults = [fault for row in rows if row.position in self._heads for fault in self._check_head(row, hashes, tree)]
        root = hashes.subtree(0, TILE_HEIGHT) if len(rows) == TILE_WIDTH else None
        if tree is not None and root is not None:
            tree.append(root)
        self._tree = tree
        stored = self._tiles.get(index)
        if stored is None:
            if (index + 1) * TILE_WIDTH <= self._covered:
                faults.append(Fault(Kind.TILE, f"tile 0/{index} is missing", index * TILE_WIDTH + 1))
        elif stored != (b"".join(leaves), root):
            faults += explain_leaf_tile(index, *stored, rows)
        return faults

    def _check_head(self, row: Row, hashes: LeafList, tree: CompactRange | None) -> Iterator[Fault]:
        """Check the head whose last leaf a row is. `tree`: the full tiles before that of the row."""
        size = row.position
        stored = self._heads.pop(size)
        yield from self._check_signed_at(row, stored)
        try:
            head = open_stored(self._trust, stored.note)
        except InvalidNote as error:
            yield Fault(Kind.HEAD, f"the head of size {size}: {error}", size)
            return
        if head.size != size:
            yield Fault(Kind.HEAD, f"stored as the head of size {size}, signed for size {head.size}", size)
        elif tree is not None:
            inside = complete_subtrees(0, size - tree.size * TILE_WIDTH)
            root = fold([*tree.subtrees, *(hashes.subtree(*subtree) for subtree in inside)])
            if head.root != root:
                yield Fault(Kind.HEAD, f"signed root {short(head.root)}, the tree has {short(root)}", size)

    def _check_signed_at(self, row: Row, stored: _Head) -> Iterator[Fault]:
        """Check when a head says it was signed: after its last position was given, and heads in their order."""
        signed_at, before, self._signed_at = stored.signed_at, self._signed_at, stored.signed_at
        size = row.position
        if signed_at is None:
            yield Fault(Kind.TIME, "a head does not say when it was signed", size)
            return
        if signed_at < row.sequenced_at - CLOCK_SLACK:
            yield Fault(Kind.TIME, f"a head signed at {signed_at}, its last position given at {row.sequenced_at}", size)
        if before is not None and signed_at < before - CLOCK_SLACK:
            yield Fault(Kind.TIME, f"a head signed at {signed_at}, the one before it at {before}", size)
        if signed_at > stored.now + CLOCK_SLACK:
            yield Fault(Kind.TIME, f"a head signed at {signed_at}, and it is {stored.now}", size)


def open_stored(trust: Trust, note: str) -> TreeHead:
    """Return what a stored head says.

    Raises: InvalidNote, also when it has a signature beside the log's own, which nobody could have checked.
    """
    try:
        head = trust.open(note)
    except NONSENSE as error:
        raise InvalidNote(f"it cannot be read: {type(error).__name__}: {error}") from error
    if note.rpartition("\n\n")[2].count("\n") != 1:
        raise InvalidNote("it has a signature line that the relay did not write")
    return head


def _tiles_before(conn: Connection, after: int) -> CompactRange | None:
    """Return the tree over the full tiles before a position; None where a tile is missing: reported in its place."""
    reader = TreeReader(conn, after)
    try:
        subtrees = [reader.range_hash(s, s + (1 << height)) for s, height in complete_subtrees(0, after)]
    except TreeIncomplete:
        return None
    return CompactRange(after // TILE_WIDTH, subtrees)
