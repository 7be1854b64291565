"""Checks of stored tiles against what they are made of, and of what is stored where no tile and no head can be.

What lies outside the tree is read by nobody, and it is an alteration all the same: the relay never wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ledger.store import sql
from ledger.store.connection import translated
from ledger.store.hashing import HASH_BYTES
from ledger.store.merkle import LeafList
from ledger.store.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, split_hashes
from ledger.store.tree import Connection
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.rows import Row, journal_end

# Of a level: for a head or a row that was put at position 10^15 millions would have to be there.
MISSING_NAMED_MAX = 10
OUTSIDE_NAMED_MAX = 10
_TILE = "SELECT hashes, root FROM tiles WHERE level = %s AND tile_index = %s"
_INDICES = "SELECT tile_index FROM tiles WHERE level = %s AND tile_index >= 0 AND tile_index < %s ORDER BY tile_index"
_OUTSIDE = """
SELECT level, tile_index FROM tiles
WHERE level < 0 OR tile_index < 0 OR level >= %s OR level IS NULL OR tile_index IS NULL
ORDER BY level, tile_index LIMIT %s
"""
_FIRST_BEYOND = "SELECT min(tile_index) FROM tiles WHERE level = %s AND tile_index >= %s"
_HEADS_OF_NOTHING = """
SELECT tree_size FROM tree_heads WHERE tree_size < 1 OR tree_size IS NULL ORDER BY tree_size LIMIT %s
"""


def check_upper_tiles(conn: Connection, covered: int, size: int) -> Iterator[Fault]:
    """Yield the faults of the tiles above level 0, of tiles outside the tree, and of heads of no position.

    `covered`: size of the last signed head; `size`: positions of the journal.
    """
    level = 0
    while possible := size >> (TILE_HEIGHT * (level + 1)):
        yield from _check_beyond(conn, level, possible)
        if level:
            yield from _check_level(conn, level, possible, covered)
        level += 1
    # The last level, which is not full yet anywhere.
    yield from _check_beyond(conn, level, 0)
    with translated():
        outside = conn.execute(_OUTSIDE, (level + 1, OUTSIDE_NAMED_MAX)).fetchall()
        heads = conn.execute(_HEADS_OF_NOTHING, (OUTSIDE_NAMED_MAX,)).fetchall()
    for tile_level, index in outside:
        yield Fault(Kind.TILE, f"tile {tile_level}/{index} is stored, and the tree has no such place")
    for (size,) in heads:
        yield Fault(Kind.HEAD, f"a head of size {size} is stored, and the first position is 1", size)


def _check_beyond(conn: Connection, level: int, possible: int) -> Iterator[Fault]:
    with translated():
        ((first,),) = conn.execute(_FIRST_BEYOND, (level, possible)).fetchall()
    # The relay may have gone on since: a tile is stored after the positions that fill it.
    if first is not None and first >= journal_end(conn) >> (TILE_HEIGHT * (level + 1)):
        yield Fault(Kind.TILE, f"tile {level}/{first} is stored, and the journal ends before",
                    (first << (TILE_HEIGHT * (level + 1))) + 1)  # fmt: skip


def _check_level(conn: Connection, level: int, possible: int, covered: int) -> Iterator[Fault]:
    with translated():
        stored = dict.fromkeys(index for (index,) in conn.execute(_INDICES, (level, possible)).fetchall())
    for index in stored:
        yield from _check_tile(conn, level, index)
    missing = (index for index in range(covered >> (TILE_HEIGHT * (level + 1))) if index not in stored)
    for index in islice(missing, MISSING_NAMED_MAX):
        yield Fault(Kind.TILE, f"tile {level}/{index} is missing", (index << (TILE_HEIGHT * (level + 1))) + 1)


def _check_tile(conn: Connection, level: int, index: int) -> Iterator[Fault]:
    with translated():
        row = conn.execute(_TILE, (level, index), binary=True).fetchone()
        roots = conn.execute(
            sql.READ_TILE_ROOTS, (level - 1, index * TILE_WIDTH, (index + 1) * TILE_WIDTH), binary=True
        ).fetchall()
    if row is None:
        return  # it is gone since: what is missing is reported next time
    stored = split_hashes(row[0] or b"")
    for offset, (slot, (computed,)) in enumerate(zip(stored, roots, strict=False)):
        if slot != computed:
            position = (index << (TILE_HEIGHT * (level + 1))) + (offset << (TILE_HEIGHT * level)) + 1
            detail = f"tile {level}/{index} has {short(slot)} at {offset}, the tile below {short(computed)}"
            yield Fault(Kind.TILE, detail, position)
    if len(roots) == TILE_WIDTH:
        yield from _check_root(level, index, *row)


def explain_leaf_tile(index: int, stored: bytes | None, root: bytes | None, rows: Iterable[Row]) -> Iterator[Fault]:
    """Yield how a tile of leaves differs from the journal's rows that it was made of."""
    if stored is None or len(stored) != TILE_BYTES:
        rows = ()  # of which none has its place there
    for row in rows:
        offset = (row.position - 1) % TILE_WIDTH
        slot = (stored or b"")[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
        if slot != row.event_hash:
            detail = f"tile 0/{index} has leaf {short(slot)}, the journal {short(row.event_hash)}"
            yield Fault(Kind.TILE, detail, row.position, row.aggregate_id, row.version)
    yield from _check_root(0, index, stored, root)


def _check_root(level: int, index: int, stored: bytes | None, root: bytes | None) -> Iterator[Fault]:
    first = (index << (TILE_HEIGHT * (level + 1))) + 1
    if stored is None or len(stored) != TILE_BYTES:
        yield Fault(Kind.TILE, f"tile {level}/{index} has not {TILE_BYTES} bytes", first)
    elif LeafList(split_hashes(stored)).subtree(0, TILE_HEIGHT) != root:
        yield Fault(Kind.TILE, f"the root of tile {level}/{index} is not that of its hashes", first)
