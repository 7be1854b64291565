"""Follows every aggregate's chain: what came before a row is remembered, or read when it was not seen here.

Whatever order and range the rows come in, each is checked against the row that is stored as its predecessor;
that all links hold implies that all chains hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ledger.store.connection import translated
from ledger.store.hashing import NO_HASH
from ledger.store.tree import Connection
from ledger.verify.rows import Row

# Aggregates remembered, some 2 KB each with their state: a process stays below 150 MB.
ENDS_KEPT = 32_768
_PREDECESSORS = """
SELECT e.aggregate_id, e.version, e.hash, e.recorded_at, e.metadata ->> 'command_id', e.state, j.position
FROM unnest(%b::text[], %b::bigint[]) AS wanted (aggregate_id, version)
JOIN events AS e ON e.aggregate_id = wanted.aggregate_id AND e.version = wanted.version
LEFT JOIN journal AS j ON j.aggregate_id = wanted.aggregate_id AND j.version = wanted.version
"""


class Link(NamedTuple):
    """The end of an aggregate's chain so far. `position`: None where the journal has lost it."""

    version: int
    hash: bytes
    recorded_at: datetime | None
    command_id: str | None
    state: Any
    position: int | None


BEGINNING = Link(0, NO_HASH, None, None, None, 0)


class Chains:
    """The ends of the chains that were seen lately, and what had to be read for the batch at hand.

    Remembered are between ENDS_KEPT and twice as many: when the young ones are that many, they become the old
    ones and those before are forgotten.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._young: dict[str, Link] = {}
        self._old: dict[str, Link] = {}
        self._fetched: dict[tuple[str, int], Link] = {}

    def prepare(self, batch: Sequence[Row]) -> None:
        """Read, in one statement, the predecessors of a batch that were not seen here."""
        if len(self._young) >= ENDS_KEPT:
            self._young, self._old = {}, self._young
        seen, wanted = dict[str, int](), set[tuple[str, int]]()
        for row in batch:
            id_, version = row.aggregate_id, row.version
            last = seen.get(id_)
            if last is None:
                end = self._end(id_)
                last = end.version if end is not None else 0
            if last != version - 1 and version > 1:
                wanted.add((id_, version - 1))
            seen[id_] = version
        self._fetched = self._read(wanted) if wanted else {}

    def _read(self, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], Link]:
        columns = [list(column) for column in zip(*wanted, strict=True)]
        with translated():
            found = self._conn.execute(_PREDECESSORS, columns, binary=True).fetchall()
        return {(id_, link[0]): Link(*link) for id_, *link in found}

    def before(self, row: Row) -> Link | None:
        """Return what a row follows; None when its predecessor is not there."""
        version = row.version - 1
        if not version:
            return BEGINNING
        end = self._end(row.aggregate_id)
        return end if end is not None and end.version == version else self._fetched.get((row.aggregate_id, version))

    def _end(self, aggregate_id: str) -> Link | None:
        return self._young.get(aggregate_id) or self._old.get(aggregate_id)

    def advance(self, row: Row) -> None:
        """Remember a row as the end of its chain."""
        assert row.hash is not None, "a row without its event ends no chain"
        self._young[row.aggregate_id] = Link(
            row.version, row.hash, row.recorded_at, row.command_id, row.state, row.position
        )
