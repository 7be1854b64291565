"""The text that is signed for a tree head: C2SP's tlog-checkpoint, and the two files of proof that carry one.

Sources: https://c2sp.org/tlog-checkpoint, https://c2sp.org/tlog-proof, https://c2sp.org/tlog-witness. In this
project's words it is a tree head; C2SP's word for its signed file is checkpoint, which here is a projection's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.store.hashing import HASH_BYTES
from ledger.store.signed_note import InvalidNote, Verifier, decode_base64, open_note

TLOG_PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)  # of 63 bits, as an index is (c2sp.org/tlog-tiles)


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A log's size and root; `origin` names the log."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_tree_head(text: str) -> TreeHead:
    """Return the head of a checkpoint's text, which says nothing of who signed it. Raises InvalidNote."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise InvalidNote("a checkpoint is origin, tree size and root hash, a line each")
    origin, size, root = lines[:3]
    if not _DECIMAL.fullmatch(size):
        raise InvalidNote("a tree size is a decimal number")
    return TreeHead(origin, int(size), _hash(root))


def open_tree_head(note: str, known: Sequence[Verifier], origin: str) -> TreeHead:
    """Return the head of a checkpoint that a known key signed for this log. Raises InvalidNote."""
    text, _ = open_note(note, known)
    head = parse_tree_head(text)
    if head.origin != origin:
        raise InvalidNote(f"the checkpoint is of the log {head.origin}, not of {origin}")
    return head


def write_tlog_proof(index: int, path: Sequence[bytes], checkpoint: str) -> str:
    """Return a tlog-proof file: the leaf's index, its path, and the checkpoint it is proven under."""
    lines = [TLOG_PROOF_HEADER, f"index {index}", *(base64.b64encode(node).decode() for node in path)]
    return "\n".join(lines) + "\n\n" + checkpoint


def write_add_checkpoint(old_size: int, path: Sequence[bytes], checkpoint: str) -> str:
    """Return what a log sends to a witness: the size of a head that it knows, and how a checkpoint continues that."""
    lines = [f"old {old_size}", *(base64.b64encode(node).decode() for node in path)]
    return "\n".join(lines) + "\n\n" + checkpoint


def read_tlog_proof(proof: str) -> tuple[int, list[bytes], str]:
    """Return index, path and checkpoint of a tlog-proof file. Raises InvalidNote."""
    header, _, checkpoint = proof.partition("\n\n")
    first, *lines = header.split("\n")
    if lines and lines[0].startswith("extra "):
        lines = lines[1:]
    if first != TLOG_PROOF_HEADER or not lines or not lines[0].startswith("index "):
        raise InvalidNote(f"a proof starts with {TLOG_PROOF_HEADER} and its index")
    index = lines[0].removeprefix("index ")
    if not _DECIMAL.fullmatch(index):
        raise InvalidNote("an index is a decimal number")
    return int(index), [_hash(line) for line in lines[1:]], checkpoint


def _hash(line: str) -> bytes:
    decoded = decode_base64(line)
    if len(decoded) != HASH_BYTES:
        raise InvalidNote(f"a hash has {HASH_BYTES} bytes")
    return decoded
