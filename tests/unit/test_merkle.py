"""The tree against numbers that others published, and against RFC 9162's recursive definition."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.store import merkle
from ledger.store.hashing import leaf_hash
from ledger.store.merkle import CompactRange, InvalidProof, LeafList

# The eight leaves, their roots and paths that Certificate Transparency's implementations share as test vectors.
# Source: github.com/transparency-dev/merkle, proof/verify_test.go.
LEAVES = [
    leaf_hash(bytes.fromhex(leaf))
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_96A2 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_5F08 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_6B47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_BC1A = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_CA85 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_0EBC = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
_B086 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
INCLUSION = [  # leaf index, tree size, path
    (0, 8, [_96A2, _5F08, _6B47]),
    (5, 8, [_BC1A, _CA85, ROOTS[3]]),
    (2, 3, [ROOTS[1]]),
    (1, 5, [ROOTS[0], _5F08, _BC1A]),
]
CONSISTENCY = [  # first size, second size, path
    (1, 1, []),
    (1, 8, [_96A2, _5F08, _6B47]),
    (6, 8, [_0EBC, _CA85, ROOTS[3]]),
    (2, 5, [_5F08, _BC1A]),
    (6, 7, [_0EBC, _B086, ROOTS[3]]),
]


def recursive_hash(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + recursive_hash(leaves[:k]) + recursive_hash(leaves[k:])).digest()


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots_are_found(size: int) -> None:
    assert merkle.tree_hash(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_root_of_no_leaves_is_the_hash_of_nothing() -> None:
    assert merkle.tree_hash([]) == sha256(b"").digest()


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_the_published_inclusion_paths_are_made_and_accepted(index: int, size: int, path: list[str]) -> None:
    made = merkle.inclusion_path(index, size, LeafList(LEAVES[:size]).range_hash)
    assert [node.hex() for node in made] == path
    merkle.check_inclusion(LEAVES[index], index, size, made, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCY)
def test_the_published_consistency_paths_are_made_and_accepted(first: int, second: int, path: list[str]) -> None:
    made = merkle.consistency_path(first, second, LeafList(LEAVES[:second]).range_hash)
    assert [node.hex() for node in made] == path
    merkle.check_consistency(first, second, made, bytes.fromhex(ROOTS[first - 1]), bytes.fromhex(ROOTS[second - 1]))


@given(st.integers(1, 300))
def test_a_root_is_that_of_the_recursive_definition(size: int) -> None:
    assert merkle.tree_hash(some_leaves(size)) == recursive_hash(some_leaves(size))


@given(st.integers(1, 200), st.data())
def test_an_inclusion_path_proves_its_own_leaf_at_its_own_place_only(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    index = data.draw(st.integers(0, size - 1))
    root = recursive_hash(leaves)
    path = merkle.inclusion_path(index, size, LeafList(leaves).range_hash)
    merkle.check_inclusion(leaves[index], index, size, path, root)
    for wrong_leaf, wrong_index, wrong_path in [
        (leaf_hash(b"another"), index, path),
        (leaves[index], (index + 1) % size if size > 1 else 1, path),
        (leaves[index], index, [*path, root]),
        (leaves[index], index, path[:-1] or [root]),
        *((leaves[index], index, [*path[:i], leaf_hash(b"x"), *path[i + 1 :]]) for i in range(len(path))),
    ]:
        with pytest.raises(InvalidProof):
            merkle.check_inclusion(wrong_leaf, wrong_index, size, wrong_path, root)


@given(st.integers(2, 200), st.data())
def test_a_consistency_path_proves_a_prefix_and_nothing_else(second: int, data: st.DataObject) -> None:
    leaves = some_leaves(second)
    first = data.draw(st.integers(1, second - 1))
    rewritten = [leaf_hash(b"rewritten"), *leaves[1:first]]
    old, new = recursive_hash(leaves[:first]), recursive_hash(leaves)
    path = merkle.consistency_path(first, second, LeafList(leaves).range_hash)
    merkle.check_consistency(first, second, path, old, new)
    for wrong_path, wrong_old, wrong_new in [
        (path, recursive_hash(rewritten), new),
        (path, old, leaf_hash(b"another root")),
        (path[:-1], old, new),
        ([*path, new], old, new),
        *(([*path[:i], leaf_hash(b"x"), *path[i + 1 :]], old, new) for i in range(len(path))),
    ]:
        with pytest.raises(InvalidProof):
            merkle.check_consistency(first, second, wrong_path, wrong_old, wrong_new)


def test_no_path_leads_from_a_larger_tree_to_a_smaller_one() -> None:
    with pytest.raises(InvalidProof, match="no proof leads"):
        merkle.check_consistency(3, 2, [], bytes(32), bytes(32))


def test_a_leaf_beyond_the_tree_is_not_in_it() -> None:
    with pytest.raises(InvalidProof, match="has no leaf 1"):
        merkle.root_from_inclusion(bytes(32), 1, 1, [])


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_compact_range_grows_to_the_same_roots_from_any_size(start: int, more: int) -> None:
    leaves = some_leaves(start + more)
    tree = LeafList(leaves[:start])
    compact = CompactRange(start, [tree.subtree(*subtree) for subtree in merkle.complete_subtrees(0, start)])
    for size in range(start, start + more + 1):
        assert (compact.size, compact.root()) == (size, recursive_hash(leaves[:size]))
        if size < start + more:
            compact.append(leaves[size])
