"""Sealed texts: AES-256-GCM under the keys of everybody a text is about, as one string that an event can hold.

    sealed:1:<key id>[+<key id>…]:<base64 of nonce, ciphertext and tag>

An event is hashed with the sealed text in it, so destroying a key changes no byte, no hash and no proof. A text
about several accounts is sealed under all their keys together, and is gone when one of them is. Source: NIST SP
800-38D (GCM), RFC 5869 (HKDF). ADR 8 says why so.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.randomness import random_piece

PREFIX = "sealed:1:"
KEY_BYTES = 32
NONCE_BYTES = 12
# A ciphertext is as long as its text, and the length of a name says something about it: texts are filled up to
# a multiple of this. No text holds a null character (ledger.api.fields), so what was filled up comes off again.
PADDING = 32
_KEY_ID_BYTES = 9  # 72 bits, 12 letters: of a billion keys two are alike with a chance of 1 in 10,000
_INFO = b"chronicle-ledger sealed text 1"


class NotOpened(Exception):
    """The text is not what these keys sealed: altered, or sealed under others."""


def key_id_of(account_id: str, generation: int) -> str:
    """Return the id of an account's key: it follows from the events, so that anybody can tell whose key it was."""
    digest = sha256(f"{account_id}\n{generation}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:_KEY_ID_BYTES]).decode()


def is_sealed(text: object) -> bool:
    return isinstance(text, str) and text.startswith(PREFIX)


def key_ids_of(sealed: str) -> tuple[str, ...]:
    """Return the ids of the keys that a sealed text takes."""
    return tuple(sealed.split(":", 3)[2].split("+"))


class TextKey:
    """What the keys of one or more subjects make together: it seals and opens texts, and keys hashes of them."""

    __slots__ = ("_aes", "_associated", "_mac_key", "_prefix")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        assert {len(key) for key in keys.values()} == {KEY_BYTES}, "one key or more, each of them whole"
        ids = sorted(keys)
        derived = HKDF(SHA256(), length=2 * KEY_BYTES, salt=None, info=_INFO).derive(b"".join(keys[id_] for id_ in ids))
        self._aes, self._mac_key = AESGCM(derived[:KEY_BYTES]), derived[KEY_BYTES:]
        self._prefix = f"{PREFIX}{'+'.join(ids)}:"
        self._associated = self._prefix.encode()  # so that no text can be passed off under other keys' ids

    def seal(self, text: str) -> str:
        """Return the sealed text; an empty one stays empty, as there is nothing in it to erase."""
        if not text:
            return text
        nonce, plain = random_piece()[:NONCE_BYTES], text.encode()
        filled = plain + bytes(-len(plain) % PADDING)
        sealed = nonce + self._aes.encrypt(nonce, filled, self._associated)
        return self._prefix + base64.b64encode(sealed).decode()

    def open(self, sealed: str) -> str:
        """Return the text. Raises: NotOpened."""
        if not sealed.startswith(self._prefix):
            raise NotOpened(f"{sealed[:64]} is sealed under other keys")
        try:
            material = binascii.a2b_base64(sealed[len(self._prefix) :], strict_mode=True)
            filled = self._aes.decrypt(material[:NONCE_BYTES], material[NONCE_BYTES:], self._associated)
            return filled.rstrip(b"\x00").decode()
        except (InvalidTag, ValueError) as error:
            raise NotOpened(f"{sealed[:64]} is not what its keys sealed") from error

    def keyed_hash(self, content: bytes) -> bytes:
        """Return a hash that nobody can guess a text by once a key is destroyed."""
        return hmac.digest(self._mac_key, content, "sha256")
