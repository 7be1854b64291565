"""The Merkle tree of RFC 9162 section 2.1: roots, inclusion and consistency proofs, and checking both.

Pure arithmetic over hashes. Where a subtree's hash comes from is the caller's business (`range_hash`): the
tables' tiles in `ledger.store.tiles`, a list in a test. A leaf's index is its journal position minus one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

_NODE_PREFIX = b"\x01"  # RFC 9162 section 2.1.1
EMPTY_ROOT = sha256(b"").digest()

RangeHash = Callable[[int, int], bytes]  # (start, end) → the Merkle tree hash of the leaves start … end − 1


class InvalidProof(Exception):
    """A proof does not lead to the root it should; the sentence says where."""


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE_PREFIX + left + right).digest()


def split(size: int) -> int:
    """Return the largest power of two smaller than `size`: where RFC 9162 divides a tree."""
    assert size > 1, "a single leaf is not divided"
    return 1 << ((size - 1).bit_length() - 1)


def complete_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (first leaf, height) of the complete subtrees that make up a range, from left to right.

    `start` must be a multiple of the largest power of two that fits, as every range of a proof is.
    """
    while start < end:
        height = (end - start).bit_length() - 1
        assert start % (1 << height) == 0, "a subtree starts at a multiple of its size"
        yield start, height
        start += 1 << height


def fold(subtrees: Sequence[bytes]) -> bytes:
    """Return the hash over complete subtrees of falling height, as `complete_subtrees` lists them."""
    *others, root = subtrees
    for left in reversed(others):
        root = node_hash(left, root)
    return root


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of leaf hashes."""
    return LeafList(leaves).range_hash(0, len(leaves)) if leaves else EMPTY_ROOT


class LeafList:
    """A tree whose leaves are all at hand: 256 of a tile, or a handful in a test."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            self._levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])

    def subtree(self, start: int, height: int) -> bytes:
        """Return the hash of the complete subtree of 2^height leaves that begins at leaf `start`."""
        return self._levels[height][start >> height]

    def range_hash(self, start: int, end: int) -> bytes:
        return fold([self.subtree(*subtree) for subtree in complete_subtrees(start, end)])


class CompactRange:
    """A growing tree as its complete subtrees alone: a root after every leaf costs a few hashes.

    `subtrees` are those of the leaves so far, as `complete_subtrees(0, size)` lists them. A leaf may itself be
    the root of a complete subtree, as long as all of them are of one height.
    """

    def __init__(self, size: int = 0, subtrees: Sequence[bytes] = ()) -> None:
        self.size = size
        self.subtrees = list(subtrees)
        assert len(self.subtrees) == size.bit_count(), "a subtree for each power of two in the size"

    def append(self, leaf: bytes) -> None:
        merges = (self.size ^ (self.size + 1)).bit_length() - 1  # how many subtrees the leaf completes
        for _ in range(merges):
            leaf = node_hash(self.subtrees.pop(), leaf)
        self.subtrees.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        return fold(self.subtrees) if self.subtrees else EMPTY_ROOT


def inclusion_path(index: int, size: int, range_hash: RangeHash) -> list[bytes]:
    """Return PATH(index, D[size]), the leaf's sibling first. Source: RFC 9162 section 2.1.3.1."""
    assert 0 <= index < size, "only a leaf of the tree has a path in it"
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(range_hash(middle, end))
            end = middle
        else:
            path.append(range_hash(start, middle))
            start = middle
    return path[::-1]


def consistency_path(first: int, second: int, range_hash: RangeHash) -> list[bytes]:
    """Return PROOF(first, D[second]). Source: RFC 9162 section 2.1.4.1."""
    assert 0 < first <= second, "a tree is consistent with later ones"
    path, start, end, is_whole = [], 0, second, True
    while first < end:
        middle = start + split(end - start)
        if first <= middle:
            path.append(range_hash(middle, end))
            end = middle
        else:
            path.append(range_hash(start, middle))
            start, is_whole = middle, False
    if not is_whole:  # else the first tree is a subtree from leaf 0, whose hash its verifier has
        path.append(range_hash(start, end))
    return path[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that an inclusion path leads to. Source: RFC 9162 section 2.1.3.2. Raises InvalidProof."""
    if not 0 <= index < size:
        raise InvalidProof(f"a tree of size {size} has no leaf {index}")
    node, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise InvalidProof("the path is longer than the tree is high")
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise InvalidProof("the path is shorter than the tree is high")
    return root


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raises: InvalidProof unless the leaf is at this index under this root."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise InvalidProof("the path leads to another root")


def check_consistency(first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    """Raises: InvalidProof unless the first tree is a prefix of the second. Source: RFC 9162 section 2.1.4.2."""
    if not 0 < first <= second:
        raise InvalidProof(f"no proof leads from size {first} to size {second}")
    if first == second:
        if path or first_root != second_root:
            raise InvalidProof("trees of one size have one root and need no path")
        return
    hashes = list(path) if first & (first - 1) else [first_root, *path]
    if not hashes or not path:
        raise InvalidProof("the path is empty")
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise InvalidProof("the path is longer than the tree is high")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise InvalidProof("the path is shorter than the tree is high")
    if old != first_root:
        raise InvalidProof(f"the tree of size {first} had another root")
    if new != second_root:
        raise InvalidProof(f"the tree of size {second} has another root")
