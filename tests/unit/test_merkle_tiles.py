"""Tiles against the specification's worked numbers, and the growing edge against the whole tree."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.store.hashing import leaf_hash
from ledger.store.merkle import tree_hash
from ledger.store.tiles import TILE_BYTES, Frontier, index_path, parse_index_path, split_hashes, width_at


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(8, "big")) for number in range(count)]


def test_a_tree_of_70000_has_the_tiles_that_the_specification_lists() -> None:
    frontier = Frontier()
    full = Counter(tile.level for tile in frontier.append(leaves(70_000)))
    assert full == {0: 273, 1: 1}
    assert [width_at(0, 273, 70_000), width_at(1, 1, 70_000), width_at(2, 0, 70_000)] == [112, 17, 1]
    assert [len(hashes) for hashes in frontier._pending] == [112, 17, 1]


def test_a_tree_of_256_has_one_full_tile_and_one_of_width_1_above() -> None:
    frontier = Frontier()
    (tile,) = frontier.append(leaves(256))
    assert (tile.level, tile.index, len(tile.hashes)) == (0, 0, TILE_BYTES)
    assert [width_at(0, 0, 256), width_at(0, 1, 256), width_at(1, 0, 256)] == [256, 0, 1]


def test_a_tile_two_levels_up_is_made_of_the_roots_below_it() -> None:
    frontier = Frontier()
    tiles = frontier.append(leaves(65_536))
    level_0, (level_1,) = [t for t in tiles if t.level == 0], [t for t in tiles if t.level == 1]
    assert [tile.index for tile in level_0] == list(range(256))
    assert split_hashes(level_1.hashes) == [tile.root for tile in level_0]
    assert level_1.root == tree_hash(leaves(65_536)) == frontier.root()


@given(st.lists(st.integers(0, 400), max_size=5))
def test_the_root_does_not_depend_on_how_the_leaves_arrived(batches: list[int]) -> None:
    frontier, count, tiles = Frontier(), 0, []
    for batch in batches:
        tiles += frontier.append(leaves(count + batch)[count:])
        count += batch
        assert frontier.size == count
        assert frontier.root() == tree_hash(leaves(count))
    assert [(tile.level, tile.index) for tile in tiles] == [(0, index) for index in range(count // 256)]
    stored = b"".join(tile.hashes for tile in tiles)
    assert split_hashes(stored) == leaves(count // 256 * 256)


def test_the_specifications_index_path() -> None:
    assert index_path(1234067) == "x001/x234/067"
    assert index_path(0) == "000"


@given(st.integers(0, 2**63 - 1))
def test_an_index_path_reads_back(index: int) -> None:
    assert parse_index_path(index_path(index)) == index


@pytest.mark.parametrize("path", ["", "0", "00", "0000", "x000/001", "x001/23", "001/000", "x001/x234/x067",
                                  "-01", "x001//067", "٠٠١", "/".join(["x001"] * 8 + ["000"])])  # fmt: skip
def test_an_index_path_has_one_spelling(path: str) -> None:
    assert parse_index_path(path) is None
