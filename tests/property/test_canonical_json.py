"""orjson with sorted keys writes the bytes that RFC 8785 asks for, for every value that an event may hold."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.money import AMOUNT_MINOR_MAX
from ledger.store.hashing import canonical_json

KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
# Lone surrogates are no text; every other character is, control characters too.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
INTEGERS = st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=1_000)
@given(VALUES)
def test_the_bytes_are_those_of_the_reference_package(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(VALUES)
def test_the_bytes_read_back_to_the_value(value: Any) -> None:
    assert orjson.loads(canonical_json(value)) == value


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**64, "\ud800", {1: 2}, {"a": object()}])
def test_what_json_cannot_hold_exactly_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)
