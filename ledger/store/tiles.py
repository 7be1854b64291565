"""Tiles: the Merkle tree in pieces of 256 hashes, as C2SP's tlog-tiles cuts it.

Source: https://c2sp.org/tlog-tiles. Tile n of level l holds the hashes of 256 subtrees of 256^l leaves each.
Only full tiles are stored, because they never change; a partial one follows from the roots of the full
tiles below it, or from the journal's last rows. Pure: the tables are in `ledger.store.tree`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.store.hashing import HASH_BYTES
from ledger.store.merkle import EMPTY_ROOT, LeafList, complete_subtrees, fold

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
LEVEL_MAX = 63  # the specification's; a journal of 2^63 positions ends at level 7
_INDEX_PATH = re.compile(r"(?:x[0-9]{3}/)*[0-9]{3}", re.ASCII)
# A 63-bit index has 19 digits, seven groups of three.
_INDEX_GROUPS_MAX = 7


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile and the hash over it, which is an entry of the tile above."""

    level: int
    index: int
    hashes: bytes
    root: bytes


class Frontier:
    """The right edge of a growing tree: what has not filled a tile yet, a list for each level.

    Everything that appending needs is here, at most 255 hashes a level, so the tree is never recomputed.
    """

    def __init__(self, pending: Sequence[Sequence[bytes]] = ()) -> None:
        self._pending = [list(hashes) for hashes in pending]

    @property
    def size(self) -> int:
        return sum(len(hashes) << (TILE_HEIGHT * level) for level, hashes in enumerate(self._pending))

    def append(self, leaves: Iterable[bytes]) -> list[Tile]:
        """Append leaf hashes and return the tiles they filled, lower levels first."""
        tiles: list[Tile] = []
        size = self.size
        for leaf in leaves:
            size += 1
            self._push(0, leaf, size, tiles)
        return tiles

    def _push(self, level: int, hash_: bytes, size: int, tiles: list[Tile]) -> None:
        if level == len(self._pending):
            self._pending.append([])
        hashes = self._pending[level]
        hashes.append(hash_)
        if len(hashes) < TILE_WIDTH:
            return
        root = LeafList(hashes).subtree(0, TILE_HEIGHT)
        index = (size >> (TILE_HEIGHT * (level + 1))) - 1
        tiles.append(Tile(level, index, b"".join(hashes), root))
        hashes.clear()
        self._push(level + 1, root, size, tiles)

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        subtrees: list[bytes] = []
        for hashes in reversed(self._pending):  # the highest level is the leftmost part of the tree
            if hashes:
                leaves = LeafList(hashes)
                subtrees += [leaves.subtree(*subtree) for subtree in complete_subtrees(0, len(hashes))]
        return fold(subtrees) if subtrees else EMPTY_ROOT


def width_at(level: int, index: int, size: int) -> int:
    """Return how many hashes a tile has in the tree of this size: 256 full, 0 not there."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH))


def split_hashes(hashes: bytes) -> list[bytes]:
    return [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]


def index_path(index: int) -> str:
    """Return a tile's index as its URL path: 1234067 is x001/x234/067."""
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path


def parse_index_path(path: str) -> int | None:
    """Return the index of a URL path, or None for one that is not spelled as `index_path` does."""
    if not _INDEX_PATH.fullmatch(path) or path.count("/") >= _INDEX_GROUPS_MAX:
        return None
    index = int(path.replace("/", "").replace("x", ""))
    return index if index_path(index) == path else None
