"""Which key signs the log's heads from which position on, as the log itself records it; and whom to believe.

A change of keys is an event of the aggregate `log:keys` with a note that both keys signed. So whoever knows
one key of the log, old or new, can find the others, and a head counts only if the key of its own size signed
it: a key that has given way signs nothing new, and one that the log does not name signs nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.domain.events import LOG_KEYS
from ledger.errors import LedgerError
from ledger.store import log_key, sql
from ledger.store.connection import translated
from ledger.store.signed_note import InvalidNote, Signer, Verifier, open_note, signature_of
from ledger.store.tree import Connection
from ledger.store.tree_head_note import TreeHead, open_tree_head, parse_tree_head


class SuccessionBroken(LedgerError):
    """The log records a change of its keys that those keys did not sign: `verify_ledger` says which."""

    code = "succession_broken"
    status = 503


@dataclass(frozen=True, slots=True)
class Change:
    """One key gave way to another: heads of `position` events and more are signed by the new one."""

    position: int
    old: Verifier
    new: Verifier
    note: str


@dataclass(frozen=True, slots=True)
class Trust:
    """The log's name, the keys that one believes beforehand, and how the log's keys followed one another."""

    origin: str
    keys: tuple[Verifier, ...]
    changes: tuple[Change, ...] = ()

    def keys_at(self, size: int) -> tuple[Verifier, ...]:
        """Return the keys whose signature counts on a head of a size: one, once the log has named its keys."""
        named = [change.old for change in self.changes[:1]] + [change.new for change in self.changes]
        if not set(named) & set(self.keys):
            return self.keys  # the log's keys are not those that one believes, and its heads will not open
        return (named[sum(change.position <= size for change in self.changes)],)

    def open(self, note: str) -> TreeHead:
        """Return the head of a checkpoint that the key of its size signed. Raises InvalidNote."""
        size = parse_tree_head(note.partition("\n\n")[0]).size
        return open_tree_head(note, self.keys_at(size), self.origin)


def text_of(old: Verifier, new: Verifier) -> str:
    return f"{old.name} key succession\n{old.vkey}\n{new.vkey}\n"


def sign_change(old: Signer, new: Signer) -> str:
    """Return the note in which both keys say that the new one follows the old one."""
    text = text_of(old.verifier, new.verifier)
    return old.sign(text) + signature_of(new, text)


def check_change(change: Change, before: Change | None) -> None:
    """Raises: InvalidNote unless both keys signed the change and the old one is the one that had signed so far."""
    if before is not None and before.new != change.old:
        raise InvalidNote(f"it replaces {change.old.vkey}, and {before.new.vkey} was signing")
    text, signed_by = open_note(change.note, (change.old, change.new))
    if text != text_of(change.old, change.new):
        raise InvalidNote("its note says something else")
    if len(signed_by) != 2:
        raise InvalidNote("only one of the two keys signed it")


def recorded(conn: Connection) -> list[tuple[int, dict[str, Any]]]:
    """Return the position and the data of every change that the journal has, as stored, in order."""
    with translated():
        return conn.execute(sql.READ_OF_AGGREGATE, (LOG_KEYS,)).fetchall()


def read_change(position: int, data: dict[str, Any]) -> Change:
    """Raises: InvalidNote when the data is none of a change."""
    if type(position) is not int or position < 1:
        raise InvalidNote("it stands at no position")
    try:
        return Change(position, Verifier.parse(data["old_key"]), Verifier.parse(data["new_key"]), data["note"])
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidNote(f"it does not say which keys: {type(error).__name__}: {error}") from error


def changes(conn: Connection) -> tuple[Change, ...]:
    """Return every change of keys that the journal has. Raises: SuccessionBroken."""
    found: list[Change] = []
    for position, data in recorded(conn):
        try:
            change = read_change(position, data)
            check_change(change, found[-1] if found else None)
        except InvalidNote as error:
            raise SuccessionBroken(f"the change of keys at position {position} does not hold: {error}") from error
        found.append(change)
    return tuple(found)


def verifier_at(found: Sequence[Change], size: int) -> Verifier:
    """Return the key that signs heads of a size; this machine's own, while the log has named none.

    Raises: LogKeyUnusable.
    """
    before = [change for change in found if change.position <= size]
    if before:
        return before[-1].new
    return found[0].old if found else log_key.load_signer().verifier


def signer_at(found: Sequence[Change], size: int) -> Signer:
    """Return this machine's signer of heads of a size. Raises: LogKeyUnusable when it does not have that key."""
    return log_key.find_signer(verifier_at(found, size))


def current_signer(conn: Connection) -> Signer:
    """Return this machine's signer under the log's last key. Raises: LogKeyUnusable, SuccessionBroken."""
    found = changes(conn)
    return signer_at(found, found[-1].position if found else 0)
