"""Follows every aggregate's chain: what came before a row is remembered, or read when it was not seen here.

Whatever order and range the rows come in, each is checked against the row that is stored as its predecessor;
that all links hold implies that all chains hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ledger.store.connection import translated
from ledger.store.hashing import NO_HASH
from ledger.store.tree import Connection
from ledger.verify import replay
from ledger.verify.rows import Row

_PREDECESSORS = """
SELECT e.aggregate_id, e.version, e.hash, e.recorded_at, e.metadata ->> 'command_id', e.aggregate_type, e.state
FROM unnest(%b::text[], %b::bigint[]) AS wanted (aggregate_id, version)
JOIN events AS e ON e.aggregate_id = wanted.aggregate_id AND e.version = wanted.version
"""


class Link(NamedTuple):
    """The end of an aggregate's chain so far. `state`: None when nothing readable is stored."""

    version: int
    hash: bytes
    recorded_at: datetime | None
    command_id: str | None
    state: Any


BEGINNING = Link(0, NO_HASH, None, None, None)


class Chains:
    """The chains of the rows of one segment, whose length bounds the memory."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._ends: dict[str, Link] = {}

    def prepare(self, batch: Sequence[Row]) -> None:
        """Read, in one statement, the predecessors of a batch that were not seen here."""
        wanted: dict[str, int] = {}
        seen: dict[str, int] = {}
        for row in batch:
            id_, before = row.aggregate_id, row.version - 1
            if id_ not in seen:
                end = self._ends.get(id_)
                if before and (end is None or end.version != before):
                    wanted[id_] = before
            seen[id_] = row.version
        if not wanted:
            return
        with translated():
            found = self._conn.execute(_PREDECESSORS, (list(wanted), list(wanted.values())), binary=True)
            for id_, version, hash_, recorded_at, command_id, aggregate_type, state in found:
                readable = replay.read_state(aggregate_type, state)
                self._ends[id_] = Link(version, hash_, recorded_at, command_id, readable)

    def before(self, row: Row) -> Link | None:
        """Return what a row follows; None when its predecessor is not there."""
        if row.version == 1:
            return BEGINNING
        end = self._ends.get(row.aggregate_id)
        return end if end is not None and end.version == row.version - 1 else None

    def advance(self, row: Row, state: Any) -> None:
        """Remember a row as the end of its chain. `state`: as it is stored, read."""
        assert row.hash is not None, "a row without its event ends no chain"
        self._ends[row.aggregate_id] = Link(row.version, row.hash, row.recorded_at, row.command_id, state)
