"""Sealed texts: what goes in comes out, under the right keys only, and its length is not seen from outside."""

from __future__ import annotations

import base64

import pytest

from ledger.subjects.cache import Cache
from ledger.subjects.seal import NotOpened, TextKey, is_sealed, key_id_of, key_ids_of

ANN, BOB = key_id_of("ann", 0), key_id_of("bob", 0)
KEYS = {ANN: bytes(range(32)), BOB: bytes(range(32, 64))}
TEXTS = ["x", "Zoë 山田 🏦", "a" * 500, "sealed:1:looks:like", " ends with a space "]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_out_as_it_went_in(text: str) -> None:
    for keys in ({ANN: KEYS[ANN]}, KEYS):
        sealed = TextKey(keys).seal(text)
        assert is_sealed(sealed)
        assert text not in sealed or len(text) == 1  # a letter is in any base64
        assert set(key_ids_of(sealed)) == set(keys)
        assert TextKey(keys).open(sealed) == text


def test_nothing_is_sealed_as_nothing() -> None:
    assert TextKey(KEYS).seal("") == ""


def test_the_same_text_is_never_sealed_alike() -> None:
    key = TextKey(KEYS)
    assert key.seal("rent") != key.seal("rent")


def test_the_length_shows_only_in_steps() -> None:
    key = TextKey(KEYS)
    assert len({len(key.seal("a" * length)) for length in range(1, 33)}) == 1


def test_the_order_of_keys_does_not_matter() -> None:
    sealed = TextKey(KEYS).seal("rent")
    assert TextKey(dict(reversed(KEYS.items()))).open(sealed) == "rent"


def test_one_of_two_keys_opens_nothing() -> None:
    sealed = TextKey(KEYS).seal("rent")
    for id_ in KEYS:
        with pytest.raises(NotOpened):
            TextKey({id_: KEYS[id_]}).open(sealed)


def test_an_altered_byte_is_noticed_wherever_it_is() -> None:
    key = TextKey(KEYS)
    prefix, _, body = key.seal("rent").rpartition(":")
    material = base64.b64decode(body)
    for index in range(len(material)):
        altered = bytearray(material)
        altered[index] ^= 1
        with pytest.raises(NotOpened):
            key.open(f"{prefix}:{base64.b64encode(altered).decode()}")
    for broken in (f"{prefix}:", f"{prefix}:{body[:8]}", f"{prefix}:no base64!"):
        with pytest.raises(NotOpened):
            key.open(broken)


def test_a_text_cannot_be_passed_off_under_another_id() -> None:
    key = TextKey({ANN: KEYS[ANN]})
    with pytest.raises(NotOpened):
        TextKey({BOB: KEYS[ANN]}).open(key.seal("rent").replace(ANN, BOB))


def test_a_keyed_hash_depends_on_the_keys() -> None:
    hashes = {TextKey(keys).keyed_hash(b"rent") for keys in ({ANN: KEYS[ANN]}, {BOB: KEYS[BOB]}, KEYS)}
    assert len(hashes) == 3


def test_each_erasure_leads_to_another_key_id() -> None:
    ids = [key_id_of(account_id, generation) for account_id in ("ann", "ann1", "a") for generation in (0, 1, 10)]
    assert len(set(ids)) == len(ids)
    assert all(len(id_) == 12 for id_ in ids)


def test_a_cache_holds_what_was_used_last_and_no_more_than_it_may() -> None:
    cache = Cache[int, int](10)
    for number in range(100):
        cache.update({number: number}, cache.epoch)
        assert cache.get_all([0]) == {0: 0}
    assert cache.get_all(range(100)).keys() >= {0, 99}
    assert len(cache.get_all(range(100))) <= 10


def test_a_cache_takes_in_nothing_that_was_read_before_it_was_emptied() -> None:
    cache = Cache[str, str](10)
    epoch = cache.epoch
    cache.clear()
    cache.update({"key": "read before"}, epoch)
    assert cache.get_all(["key"]) == {}
