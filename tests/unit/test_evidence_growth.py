"""The offline verifier's own consistency check, against the paths that the ledger's tree gives."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from ledger.evidence import verify_evidence
from ledger.store import merkle

LEAVES = [sha256(b"\x00%d" % number).digest() for number in range(70)]


def head(size: int) -> Any:
    """A head that is signed already: of it only size and root are looked at."""
    found = object.__new__(verify_evidence.Head)
    found.size, found.root = size, merkle.tree_hash(LEAVES[:size])
    return found


def path(first: int, second: int) -> list[bytes]:
    return list(merkle.consistency_path(first, second, lambda start, end: merkle.tree_hash(LEAVES[start:end])))


PAIRS = [(first, second) for second in (2, 3, 7, 8, 9, 33, 64, 70) for first in range(1, second)]


def test_a_head_that_continues_another_is_believed() -> None:
    for first, second in PAIRS:
        verify_evidence.check_growth(head(first), head(second), path(first, second))


def test_no_altered_shortened_or_lengthened_path_is() -> None:
    for first, second in PAIRS:
        right = path(first, second)
        for wrong in ([LEAVES[-1], *right[1:]], right[:-1], [*right, LEAVES[0]], [*right[:-1], LEAVES[-1]]):
            with pytest.raises((verify_evidence.Broken, ValueError)):
                verify_evidence.check_growth(head(first), head(second), wrong)


def test_a_smaller_head_or_the_same_continues_nothing() -> None:
    for first, second in ((5, 5), (6, 5), (0, 5)):
        with pytest.raises(verify_evidence.Broken):
            verify_evidence.check_growth(head(first), head(second), [])
