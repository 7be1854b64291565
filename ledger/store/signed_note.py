"""C2SP signed notes with Ed25519: text, a blank line, one signature line for each key.

Source: https://c2sp.org/signed-note. A key is known by its name and a four-byte id; signatures of keys that
are not known are ignored, one of a known key that does not verify spoils the note.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_PUBLIC_KEY_BYTES = 32
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+]+")
# What a verifier must accept at least; more is an attempt to make it work.
SIGNATURES_MAX = 16


class InvalidNote(Exception):
    """The note is malformed, or no known key signed it, or a known key's signature is wrong."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and its name. Its text form is a vkey."""

    name: str
    public_bytes: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidNote("a key's name is not empty and has neither a space nor a plus")
        if len(self.public_bytes) != _PUBLIC_KEY_BYTES:
            raise InvalidNote("an Ed25519 public key has 32 bytes")

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_bytes).digest()[:_KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public_bytes).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Return the key of a vkey. Raises InvalidNote."""
        name, _, rest = vkey.strip().partition("+")
        key_id, _, key = rest.partition("+")
        material = decode_base64(key)
        if material[:1] != _ED25519:
            raise InvalidNote("only Ed25519 keys (signature type 1) are known here")
        verifier = cls(name, material[1:])
        if verifier.key_id.hex() != key_id:
            raise InvalidNote("the verifier key's id is not that of its key")
        return verifier

    def verify(self, signature: bytes, text: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public_bytes).verify(signature, text)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and its name."""

    name: str
    private_key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.private_key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return the note: the text, which ends in a newline, and this key's signature."""
        _check_text(text)
        return f"{text}\n{signature_of(self, text)}"


def signature_of(signer: Signer, text: str) -> str:
    """Return the line by which a key signs a text; a note may have several."""
    signature = signer.verifier.key_id + signer.private_key.sign(text.encode())
    return f"— {signer.name} {base64.b64encode(signature).decode()}\n"


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text in its one canonical spelling. Raises InvalidNote."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidNote("not base64") from error
    if base64.b64encode(decoded).decode() != text:  # or one note would have many spellings
        raise InvalidNote("not canonical base64")
    return decoded


def open_note(note: str, known: Sequence[Verifier]) -> tuple[str, list[Verifier]]:
    """Return the text of a note and the known keys that signed it, at least one. Raises InvalidNote."""
    text, separator, signatures = note.rpartition("\n\n")
    text += "\n"
    if not separator or not signatures.endswith("\n"):
        raise InvalidNote("a note is text, a blank line and signature lines")
    _check_text(text)
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise InvalidNote(f"a note has at most {SIGNATURES_MAX} signatures")
    by_id = {(key.name, key.key_id): key for key in known}
    signed_by = []
    for name, key_id, signature in map(_parse_line, lines):
        key = by_id.get((name, key_id))
        if key is None:
            continue
        if not key.verify(signature, text.encode()):
            raise InvalidNote(f"the signature of {name} does not verify")
        signed_by.append(key)
    if not signed_by:
        raise InvalidNote("no known key signed this note")
    return text, signed_by


def _parse_line(line: str) -> tuple[str, bytes, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise InvalidNote("a signature line is: em dash, name, base64")
    signature = decode_base64(match["signature"])
    return match["name"], signature[:_KEY_ID_BYTES], signature[_KEY_ID_BYTES:]


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise InvalidNote("a note's text ends in a newline and has no control characters")
