"""The Merkle tree over the journal, in its tables: extending it, and reading hashes of it for proofs.

`extend` continues from the last full tile and the journal, whatever happened to the process that wrote them,
so a relay that died between journal and tiles is healed by the next. Several may try: a tile's primary key
lets one of them through, and the others read the tables again (StoreConflict).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import psycopg

from ledger.errors import LedgerError
from ledger.store import sql
from ledger.store.connection import translated
from ledger.store.hashing import HASH_BYTES
from ledger.store.merkle import LeafList, complete_subtrees, fold
from ledger.store.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, Frontier, Tile, split_hashes, width_at

Connection = psycopg.Connection[Any]
# Tiles one transaction writes while catching up: 16,384 positions, half a megabyte.
TILES_PER_BATCH = 64
POSITIONS_PER_BATCH = TILES_PER_BATCH * TILE_WIDTH
# Tiles a reader keeps with their inner hashes, some 40 KB each: neighbours in a bundle share them.
TILES_KEPT = 256


class TreeIncomplete(LedgerError):
    """A tile or a journal row that the tree needs is not in its table: `verify_ledger` says which."""

    code = "tree_incomplete"
    status = 503


def journal_size(conn: Connection) -> int:
    """Return how many leaves the tree has when it has caught up: the journal's head position."""
    with translated():
        row = conn.execute(sql.JOURNAL_HEAD).fetchone()
    return row[0] if row else 0


def load_frontier(conn: Connection) -> Frontier:
    """Return the tree as far as its full tiles go. Raises: TreeIncomplete."""
    with translated():
        last = conn.execute(sql.LAST_TILE).fetchone()
        count = last[0] + 1 if last else 0
        pending: list[list[bytes]] = [[]]
        level = 0
        while count:
            start = count - count % TILE_WIDTH
            pending.append(_roots(conn, level, start, count))
            count >>= TILE_HEIGHT
            level += 1
    return Frontier(pending)


def extend(conn: Connection, frontier: Frontier, up_to: int) -> None:
    """Append the journal's leaves to the frontier, up to a position, and store the tiles they fill.

    Raises: StoreConflict when another relay stored one of them first: the frontier is then of no use any more.
    """
    while (size := frontier.size) < up_to:
        end = min(up_to, size - size % TILE_WIDTH + POSITIONS_PER_BATCH)
        with translated(committing=True):
            tiles = frontier.append(_leaves(conn, size, end))
            if tiles:
                _insert(conn, tiles)


def _leaves(conn: Connection, after: int, up_to: int) -> list[bytes]:
    """Return the event hashes of positions `after` + 1 to `up_to`, all of them."""
    rows = conn.execute(sql.READ_LEAVES, (after, up_to), binary=True).fetchall()
    if (count := sum(count for _, count, _ in rows)) != up_to - after:
        raise TreeIncomplete(f"of the positions {after + 1} to {up_to} the journal has {count}")
    joined = b"".join(joined or b"" for _, _, joined in rows)
    if len(joined) != count * HASH_BYTES:
        raise TreeIncomplete(f"a hash among the positions {after + 1} to {up_to} has not {HASH_BYTES} bytes")
    return split_hashes(joined)


def _roots(conn: Connection, level: int, start: int, end: int) -> list[bytes]:
    roots = [row[0] for row in conn.execute(sql.READ_TILE_ROOTS, (level, start, end), binary=True)]
    if len(roots) != end - start:
        raise TreeIncomplete(f"of the tiles {start} to {end - 1} of level {level} only {len(roots)} are stored")
    if any(root is None or len(root) != HASH_BYTES for root in roots):
        raise TreeIncomplete(f"the root of a tile {start} to {end - 1} of level {level} has not {HASH_BYTES} bytes")
    return roots


def _insert(conn: Connection, tiles: list[Tile]) -> None:
    rows = [(tile.level, tile.index, tile.hashes, tile.root) for tile in tiles]
    conn.execute(sql.INSERT_TILES, [list(column) for column in zip(*rows, strict=True)])


class TreeReader:
    """Hashes of the tree of one size, for proofs in it. One connection, one thread."""

    def __init__(self, conn: Connection, size: int) -> None:
        self._conn = conn
        self._size = size
        self._tile = lru_cache(maxsize=TILES_KEPT)(self._read_tile)

    def root(self) -> bytes:
        return self.range_hash(0, self._size)

    def range_hash(self, start: int, end: int) -> bytes:
        """Return the hash over leaves `start` to `end` − 1, a range of a proof. Raises: TreeIncomplete."""
        with translated():
            return fold([self._subtree(*subtree) for subtree in complete_subtrees(start, end)])

    def _subtree(self, start: int, height: int) -> bytes:
        level, inner = divmod(height, TILE_HEIGHT)
        tile_index, offset = divmod(start >> (TILE_HEIGHT * level), TILE_WIDTH)
        return self._tile(level, tile_index).subtree(offset, inner)

    def _read_tile(self, level: int, tile_index: int) -> LeafList:
        return LeafList(split_hashes(read_tile(self._conn, level, tile_index, width_at(level, tile_index, self._size))))


def read_tile(conn: Connection, level: int, tile_index: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile. Raises: TreeIncomplete."""
    with translated():
        row = conn.execute(sql.READ_TILE, (level, tile_index), binary=True).fetchone()
        if row is not None:
            if row[0] is None or len(row[0]) != TILE_BYTES:
                raise TreeIncomplete(f"tile {level}/{tile_index} has not {TILE_BYTES} bytes")
            return bytes(row[0][: width * HASH_BYTES])
        start = tile_index * TILE_WIDTH
        if level == 0:
            return b"".join(_leaves(conn, start, start + width))
        return b"".join(_roots(conn, level - 1, start, start + width))
