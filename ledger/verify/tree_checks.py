"""Checks of the Merkle log: stored tiles against the journal, stored heads against the tree and their signatures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.store import sql
from ledger.store.connection import translated
from ledger.store.merkle import CompactRange, LeafList, complete_subtrees
from ledger.store.signed_note import InvalidNote, Verifier
from ledger.store.tiles import TILE_HEIGHT, TILE_WIDTH, split_hashes
from ledger.store.tree import Connection, TreeIncomplete, TreeReader
from ledger.store.tree_head_note import open_tree_head
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.rows import Row

_TILES = "SELECT tile_index, hashes, root FROM tiles WHERE level = %s AND tile_index >= %s AND tile_index < %s"
_HEADS = "SELECT tree_size, note FROM tree_heads WHERE tree_size > %s AND tree_size <= %s"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the verifier brings along: the log's name and the keys whose signatures count."""

    origin: str
    keys: tuple[Verifier, ...]


class LeafCheck:
    """Follows leaves in order from a tile's boundary: level-0 tiles, and the heads signed on the way.

    `covered`: the size of the last signed head; full tiles below it must be stored.
    """

    def __init__(self, conn: Connection, after: int, up_to: int, covered: int, trust: Trust) -> None:
        assert after % TILE_WIDTH == 0, "a range of leaves starts where a tile does"
        self._trust, self._covered = trust, covered
        with translated():
            first, last = after // TILE_WIDTH, -(-up_to // TILE_WIDTH)
            tiles = conn.execute(_TILES, (0, first, last), binary=True)
            self._tiles = {index: (hashes, root) for index, hashes, root in tiles}
            heads = conn.execute(_HEADS, (after, up_to))
            self._notes = dict(heads.fetchall())
        reader = TreeReader(conn, after)
        self._tree: CompactRange | None
        try:
            self._tree = CompactRange(
                after, [reader.range_hash(s, s + (1 << h)) for s, h in complete_subtrees(0, after)]
            )
        except TreeIncomplete:
            self._tree = None  # the tile that is missing is reported where it should be
        self._size = after

    def check(self, row: Row) -> Iterator[Fault]:
        if row.position != self._size + 1:
            self._tree = None  # a position is missing, so nothing can be said of what follows
        self._size = row.position
        if self._tree is not None:
            self._tree.append(row.event_hash)
        index, offset = divmod(row.position - 1, TILE_WIDTH)
        if stored := self._tiles.get(index):
            slot = stored[0][offset * 32 : offset * 32 + 32]
            if slot != row.event_hash:
                detail = f"tile 0/{index} has leaf {short(slot)}, the journal {short(row.event_hash)}"
                yield Fault(Kind.TILE, detail, row.position, row.aggregate_id, row.version)
        if offset == TILE_WIDTH - 1:
            yield from self._end_tile(index)
        if note := self._notes.pop(row.position, None):
            yield from self._check_head(row.position, note)

    def finish(self) -> Iterator[Fault]:
        for size in self._notes:
            yield Fault(Kind.HEAD, f"a head of size {size} was signed, and the journal has no such position", size)

    def _end_tile(self, index: int) -> Iterator[Fault]:
        stored = self._tiles.get(index)
        position = index * TILE_WIDTH + 1
        if stored is None:
            if (index + 1) * TILE_WIDTH <= self._covered:
                yield Fault(Kind.TILE, f"tile 0/{index} is missing", position)
        elif LeafList(split_hashes(stored[0])).subtree(0, TILE_HEIGHT) != stored[1]:
            yield Fault(Kind.TILE, f"the root of tile 0/{index} is not that of its hashes", position)

    def _check_head(self, size: int, note: str) -> Iterator[Fault]:
        try:
            head = open_tree_head(note, self._trust.keys, self._trust.origin)
        except InvalidNote as error:
            yield Fault(Kind.HEAD, f"the head of size {size}: {error}", size)
            return
        if head.size != size:
            yield Fault(Kind.HEAD, f"stored as the head of size {size}, signed for size {head.size}", size)
        elif self._tree is not None and head.root != self._tree.root():
            yield Fault(Kind.HEAD, f"signed root {short(head.root)}, the tree has {short(self._tree.root())}", size)


def check_upper_tiles(conn: Connection, covered: int, journal_size: int) -> Iterator[Fault]:
    """Yield the faults of the tiles above level 0, and of tiles at any level that the journal is too short for."""
    level = 0
    while (possible := journal_size >> (TILE_HEIGHT * (level + 1))) or _is_stored(conn, level, 0):
        if _is_stored(conn, level, possible):
            yield Fault(Kind.TILE, f"tile {level}/{possible} or a later one is stored, and the journal ends before")
        required = covered >> (TILE_HEIGHT * (level + 1))
        for index in range(possible if level else 0):
            yield from _check_upper_tile(conn, level, index, is_required=index < required)
        level += 1


def _is_stored(conn: Connection, level: int, from_index: int) -> bool:
    with translated():
        found = conn.execute("SELECT 1 FROM tiles WHERE level = %s AND tile_index >= %s LIMIT 1", (level, from_index))
        return found.fetchone() is not None


def _check_upper_tile(conn: Connection, level: int, index: int, *, is_required: bool) -> Iterator[Fault]:
    first = index << (TILE_HEIGHT * (level + 1))
    with translated():
        row = conn.execute(_TILES, (level, index, index + 1), binary=True).fetchone()
        below = conn.execute(
            sql.READ_TILE_ROOTS, (level - 1, index * TILE_WIDTH, (index + 1) * TILE_WIDTH), binary=True
        )
        roots: Sequence[bytes] = [root for (root,) in below]
    if row is None:
        if is_required:
            yield Fault(Kind.TILE, f"tile {level}/{index} is missing", first + 1)
        return
    for offset, (stored, computed) in enumerate(zip(split_hashes(row[1]), roots, strict=False)):
        if stored != computed:
            position = first + (offset << (TILE_HEIGHT * level)) + 1
            detail = f"tile {level}/{index} has {short(stored)} at {offset}, the tile below {short(computed)}"
            yield Fault(Kind.TILE, detail, position)
    if len(roots) == TILE_WIDTH and LeafList(split_hashes(row[1])).subtree(0, TILE_HEIGHT) != row[2]:
        yield Fault(Kind.TILE, f"the root of tile {level}/{index} is not that of its hashes", first + 1)
