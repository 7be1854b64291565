"""A tree head that an auditor kept, against the log as it is now: is it still the same history?

The one check that a history rewritten with its own key cannot pass, because the head comes from outside. The
verdict rests on a consistency proof whose both ends are checked here: RFC 9162 section 2.1.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditor.integrity.trust import trust
from ledger.store import merkle, tree_heads
from ledger.store.connection import connection
from ledger.store.merkle import EMPTY_ROOT, InvalidProof
from ledger.store.signed_note import InvalidNote
from ledger.store.tree import TreeIncomplete, TreeReader
from ledger.store.tree_head_note import TreeHead, parse_tree_head
from ledger.store.tree_heads import StoredHead

NOTE_LENGTH_MAX = 8_000  # sixteen signatures and a long name are 3,000
SIZE_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """`is_consistent` is None where nothing can be said. `path` is the proof from the kept head to the current one."""

    is_consistent: bool | None
    title: str
    detail: str
    kept: TreeHead | None = None
    current: StoredHead | None = None
    path: tuple[bytes, ...] = ()


def compare(text: str) -> Comparison:
    """Compare a pasted head with the current one. Raises: NoTreeHead, LogKeyUnusable, StoreUnavailable."""
    note = as_note(text)
    known = trust()
    try:
        kept = known.open(note)
    except InvalidNote as error:
        return _not_ours(note, str(error))
    if kept.size > SIZE_MAX:
        return Comparison(None, "Not a tree head", "no journal has so many positions")
    with connection() as conn:
        current = tree_heads.at_size(conn, None)
        if kept.size > current.tree_size:
            return _from_the_future(kept, current)
        if kept.size == 0:
            return _verdict_on_empty(kept, current)
        reader = TreeReader(conn, current.tree_size)
        try:
            path = tuple(merkle.consistency_path(kept.size, current.tree_size, reader.range_hash))
        except TreeIncomplete as error:
            return Comparison(False, "The log cannot show its past", str(error), kept, current)
    try:
        merkle.check_consistency(kept.size, current.tree_size, path, kept.root, current.root)
    except InvalidProof as error:
        detail = f"Positions 1 to {kept.size:,} are not those that were signed: {error}."
        return Comparison(False, "History was rewritten", detail, kept, current, path)
    added = current.tree_size - kept.size
    detail = (
        f"The first {kept.size:,} events are exactly those that your head signed; {added:,} were added after them."
        if added
        else f"Your head is the current one: {kept.size:,} events under one root."
    )
    return Comparison(True, "The same history", detail, kept, current, path)


def as_note(text: str) -> str:
    """Return pasted text as a note: a browser sends other line ends, and people leave spaces around it."""
    return text.replace("\r\n", "\n").strip() + "\n"


def _not_ours(note: str, problem: str) -> Comparison:
    try:
        head = parse_tree_head(note.partition("\n\n")[0])
    except InvalidNote:
        return Comparison(None, "Not a tree head", f"This text is no signed tree head: {problem}.")
    detail = (
        f"It reads like the head of {head.origin} over {head.size:,} events, but {problem}. Nothing follows from it."
    )
    return Comparison(None, "Not signed by this log", detail, head)


def _from_the_future(kept: TreeHead, current: StoredHead) -> Comparison:
    detail = (
        f"Your head covers {kept.size:,} events, and the current one {current.tree_size:,}. What was signed is gone: "
        "events were removed, or this is another copy of the ledger."
    )
    return Comparison(False, "The log is shorter than it was", detail, kept, current)


def _verdict_on_empty(kept: TreeHead, current: StoredHead) -> Comparison:
    if kept.root != EMPTY_ROOT:
        return Comparison(False, "History was rewritten", "A head over nothing has another root.", kept, current)
    return Comparison(True, "The same history", "Your head covers no event yet; every log continues it.", kept, current)
