"""Checks the log against a tree head that somebody kept: what a history rewritten with its own key cannot pass.

The stored tree may be consistent and well signed and still be another one; only a head from outside tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ledger.store.merkle import EMPTY_ROOT
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import Trust
from ledger.store.tree import Connection, TreeIncomplete, TreeReader
from ledger.store.tree_head_note import TreeHead
from ledger.verify.faults import Fault, Kind, short


def check_against(conn: Connection, note: str, source: str, size: int, trust: Trust) -> Iterator[Fault]:
    """Yield a fault unless the log of `size` positions continues the head in `note`, which `source` names."""
    try:
        head = _open(note, size, trust)
    except InvalidNote as error:
        yield Fault(Kind.HEAD, f"{source}: {error}")
        return
    if head.size > size:
        yield Fault(
            Kind.REWRITTEN, f"{source} is a head over {head.size} positions, and the journal has {size}", size + 1
        )
        return
    try:
        root = TreeReader(conn, head.size).root() if head.size else EMPTY_ROOT
    except TreeIncomplete as error:
        yield Fault(Kind.REWRITTEN, f"{source} cannot be reached: {error}")
        return
    if root != head.root:
        detail = f"{source} signed root {short(head.root)}; positions 1 to {head.size} now have {short(root)}"
        yield Fault(Kind.REWRITTEN, detail, head.size)


def _open(note: str, size: int, trust: Trust) -> TreeHead:
    """Return the head. Raises: InvalidNote."""
    try:
        return trust.open(note)
    except InvalidNote:
        # Where the journal's tail is gone, the change that names the key of a head beyond it may be gone with it.
        head = replace(trust, changes=()).open(note)
        if head.size <= size:
            raise
        return head
