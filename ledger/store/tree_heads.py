"""Signed tree heads: the table, signing the next one, and never signing a second history.

A log may not sign a head that contradicts one it signed before (c2sp.org/tlog-checkpoint). The last signed
head is kept in a file beside the key, outside the database: when the tables no longer lead to it (an old
backup came back, the tail is gone), signing stops and says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import get_ident
from typing import Any

import psycopg
import structlog
from django.conf import settings

from ledger.errors import LedgerError
from ledger.store import sql
from ledger.store.connection import translated
from ledger.store.signed_note import Signer
from ledger.store.succession import Trust
from ledger.store.tree import TreeReader, journal_size
from ledger.store.tree_head_note import TreeHead, parse_tree_head

log = structlog.get_logger()
Connection = psycopg.Connection[Any]


class HistoryContradicted(LedgerError):
    """The tree is not a continuation of the head this machine signed last: signing it would cover up a change.

    When the event store was replaced on purpose, remove the file that the message names.
    """

    code = "history_contradicted"


class NoTreeHead(LedgerError):
    """No head of this size was ever signed, or none yet that covers the position."""

    code = "no_tree_head"
    status = 404


@dataclass(frozen=True, slots=True)
class StoredHead:
    tree_size: int
    note: str
    signed_at: datetime

    @property
    def root(self) -> bytes:
        """The root as the note states it; unverified."""
        return parse_tree_head(self.note.partition("\n\n")[0]).root


def last(conn: Connection) -> StoredHead | None:
    with translated():
        row = conn.execute(sql.LAST_TREE_HEAD).fetchone()
    return StoredHead(*row) if row else None


def at_size(conn: Connection, tree_size: int | None) -> StoredHead:
    """Return the head of this size, or the last one for None. Raises: NoTreeHead."""
    if tree_size is None:
        found = last(conn)
    else:
        with translated():
            row = conn.execute(sql.READ_TREE_HEAD, (tree_size,)).fetchone()
        found = StoredHead(*row) if row else None
    if found is None:
        raise NoTreeHead(
            "no tree head was signed yet" if tree_size is None else f"no head of size {tree_size} was signed"
        )
    return found


def sign(conn: Connection, signer: Signer, head: TreeHead) -> StoredHead:
    """Sign a head and store it, here and in the table. Raises: StoreConflict when it is there already."""
    note = signer.sign(head.text)
    # First the file: dying in between leaves a head that the tree still leads to.
    _remember(note)
    with translated(committing=True):
        conn.execute(sql.INSERT_TREE_HEAD, (head.size, note))
    return at_size(conn, head.size)


def memory_path() -> Path:
    return Path(settings.CHRONICLE_DATA) / "log_head"


def remembered() -> str | None:
    """Return the checkpoint this machine signed last."""
    try:
        return memory_path().read_text(errors="replace")  # what is no text is no checkpoint either
    except FileNotFoundError:
        return None


def _remember(note: str) -> None:
    path = memory_path()
    # A name of its own: two relays of one process, each with its thread, would take each other's file away.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{get_ident()}")
    temporary.write_text(note)
    temporary.replace(path)


def check_memory(conn: Connection, trust: Trust) -> None:
    """Raises: HistoryContradicted unless the journal continues the heads that were signed last.

    That is the one this machine remembers, and the one in the table. A machine that has heads and remembers
    none (the file was deleted, or the relay is new here) takes the table's, and says so.
    """
    stored, note = last(conn), remembered()
    if note is None and stored is not None:
        log.warning("no head is remembered here: taking the last one of the table", path=str(memory_path()))
    size = journal_size(conn)  # after the heads, or another relay's next one would be beyond it
    for known in (note, stored.note if stored else None):
        if known is not None:
            _check_continued(conn, trust.open(known), size)
    if note is None and stored is not None:
        _remember(stored.note)


def _check_continued(conn: Connection, head: TreeHead, size: int) -> None:
    remedy = f"run verify_ledger; if the event store was replaced on purpose, remove {memory_path()}"
    if head.size > size:
        raise HistoryContradicted(f"a head over {head.size} positions was signed, and the journal has {size}: {remedy}")
    if TreeReader(conn, head.size).root() != head.root:
        raise HistoryContradicted(f"the first {head.size} positions are not those whose head was signed: {remedy}")
