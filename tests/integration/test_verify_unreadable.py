"""What is put where nobody would look, or is no value that Python has, is found all the same and hides nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.verify.faults import Kind
from tests.integration.test_verify_ledger import faults
from tests.proof_world import long_history, small_history, tamper
from tests.servers import Servers

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.mark.parametrize("far", [10**9, 2**62])
def test_what_is_put_far_beyond_the_journal_is_found_without_going_there(stack: Servers, far: int) -> None:
    long_history(600)
    tamper(stack, "UPDATE tree_heads SET tree_size = %s", far)
    assert {(Kind.HEAD, far), (Kind.MISSING_POSITION, 601)} <= {(f.kind, f.position) for f in faults()}
    tamper(stack, "UPDATE journal SET position = %s WHERE position = 600", far)
    seen = {(fault.kind, fault.position) for fault in faults(semantic=True)}
    assert {(Kind.MISSING_POSITION, 600), (Kind.HEAD, far)} <= seen


# Each is a value that PostgreSQL holds and Python does not; and the fault at position 3 that it is found by.
UNREADABLE = {
    "UPDATE events SET recorded_at = 'infinity' WHERE aggregate_id = 'ann' AND version = 3": Kind.HASH,
    "UPDATE events SET effective_at = '4000-01-01 BC' WHERE aggregate_id = 'ann' AND version = 3": Kind.HASH,
    """UPDATE events SET data = '{"a": 1e400}' WHERE aggregate_id = 'ann' AND version = 3""": Kind.HASH,
    """UPDATE events SET metadata = '{"a": 1e400}' WHERE aggregate_id = 'ann' AND version = 3""": Kind.HASH,
    """UPDATE events SET state = '{"a": 1e400}' WHERE aggregate_id = 'ann' AND version = 3""": Kind.STATE,
    "UPDATE journal SET sequenced_at = '-infinity' WHERE position = 3": None,
    "UPDATE tree_heads SET signed_at = 'infinity'": None,
}


@pytest.mark.parametrize("statement", UNREADABLE)
@pytest.mark.parametrize("options", [{"semantic": True}, {"account_id": "ann"}, {"from_position": 2}])
def test_a_value_that_cannot_be_read_is_a_fault_in_its_place(
    stack: Servers, statement: str, options: dict[str, Any]
) -> None:
    small_history()
    tamper(
        stack,
        "UPDATE journal SET running_hash = set_byte(running_hash, 0, 255 - get_byte(running_hash, 0)) WHERE position = 9",
    )
    assert tamper(stack, statement) == 1
    seen = {(fault.kind, fault.position) for fault in faults(**options)}
    assert UNREADABLE[statement] is None or (UNREADABLE[statement], 3) in seen
    assert "account_id" in options or (Kind.RUNNING_HASH, 9) in seen, "it hides no other"


def test_a_tile_above_levels_that_have_none_is_found(stack: Servers) -> None:
    long_history(300)
    tamper(stack, "INSERT INTO tiles SELECT 7, 3, hashes, root FROM tiles")
    (fault,) = faults()
    assert (fault.kind, "tile 7/3 is stored, and the tree has no such place" in fault.detail) == (Kind.TILE, True)


def test_in_one_account_a_head_of_another_size_than_it_says_is_found(stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE tree_heads SET tree_size = 1")
    assert (Kind.HEAD, 1) in {(fault.kind, fault.position) for fault in faults(account_id="ann")}
