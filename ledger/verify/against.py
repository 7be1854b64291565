"""Checks the log against tree heads that somebody kept: what a history rewritten with its own key cannot pass.

The stored tree may be consistent and well signed and still be another one; only a head from outside tells. A head is
one root: it tells that something before its size was altered, and nothing of where. So the heads are asked together:
the largest one that still holds, and the smallest one that does not, have the first altered position between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ledger.store.merkle import EMPTY_ROOT
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import Trust
from ledger.store.tree import Connection, TreeIncomplete, TreeReader
from ledger.store.tree_head_note import TreeHead
from ledger.verify.faults import NONSENSE, Fault, Kind, short


@dataclass(frozen=True, slots=True)
class _Kept:
    """A head from outside; `contradiction`: how the log does not continue it, None when it does."""

    source: str
    head: TreeHead
    contradiction: str | None


def check_against(conn: Connection, kept: Iterable[tuple[str, str]], size: int, trust: Trust) -> Iterator[Fault]:
    """Yield a fault for each head that the log of `size` positions does not continue. `kept`: (where from, note)."""
    compared = []
    for source, note in kept:
        try:
            head = _open(note, size, trust)
        except (InvalidNote, *NONSENSE) as error:
            yield Fault(Kind.HEAD, f"{source}: {error}")
            continue
        compared.append(_Kept(source, head, _contradiction(conn, head, size)))
    sizes = [each.head.size for each in compared if each.contradiction]
    for each in compared:
        if each.contradiction:
            where = _where(compared, min(sizes))
            yield Fault(Kind.REWRITTEN, f"{each.source} {each.contradiction}; {where}", min(each.head.size, size + 1))


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


def _contradiction(conn: Connection, head: TreeHead, size: int) -> str | None:
    if head.size > size:
        return f"is a head over {head.size} positions, and the journal has {size}"
    try:
        root = TreeReader(conn, head.size).root() if head.size else EMPTY_ROOT
    except TreeIncomplete as error:
        return f"cannot be reached: {error}"
    if root == head.root:
        return None
    return f"signed root {short(head.root)}; positions 1 to {head.size} now have {short(root)}"


def _where(compared: list[_Kept], contradicted: int) -> str:
    """Return between which positions the histories part. `contradicted`: the smallest size that does not hold."""
    holding = max((each.head.size for each in compared if not each.contradiction and each.head.size < contradicted),
                  default=0)  # fmt: skip
    if holding + 1 == contradicted:
        return f"the first altered position is {contradicted}"
    known = f"the kept head of size {holding} still holds" if holding else "no smaller head that holds was given"
    return f"the first altered position is between {holding + 1} and {contradicted}: {known}"
