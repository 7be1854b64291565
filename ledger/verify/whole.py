"""Checks that need the whole store at once, each one statement: what is in one table and not in the other, or twice.

They read in one snapshot, so a command that moves from outbox to journal meanwhile is seen in one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ledger.store.connection import translated
from ledger.store.tiles import TILE_HEIGHT
from ledger.store.tree import Connection
from ledger.verify.faults import Fault, Kind
from ledger.verify.rows import journal_end, seed

REPORTED_MAX = 200
# A head is signed each second; positions that have none after this long are protected by nobody's signature.
UNSIGNED_MAX = timedelta(seconds=60)
# With the last position that its aggregate had before it.
_UNRECORDED = """
SELECT e.aggregate_id, e.version, e.event_type, e.recorded_at,
    (SELECT max(position) FROM journal AS b WHERE b.aggregate_id = e.aggregate_id AND b.version < e.version)
FROM events AS e
LEFT JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
WHERE j.position IS NULL
  AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.command_id::text = e.metadata ->> 'command_id'
                  AND o.events @> jsonb_build_array(jsonb_build_array(e.aggregate_id, e.version)))
"""
_IN_ORDER = "ORDER BY e.aggregate_id, e.version LIMIT %s"
_RECORDED_AT = """
SELECT e.recorded_at FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.position > 0 AND j.position <= %s ORDER BY j.position DESC LIMIT 1
"""
_NO_POSITIONS = """
SELECT position, aggregate_id, version, event_type FROM journal
WHERE position < 1 OR position IS NULL ORDER BY position LIMIT %s
"""
_REPEATED = """
SELECT aggregate_id, version, min(position), max(position) FROM journal
GROUP BY aggregate_id, version HAVING count(*) > 1 ORDER BY 3 LIMIT %s
"""
_TILES_TWICE = """
SELECT level, tile_index FROM tiles WHERE level >= 0 AND tile_index >= 0
GROUP BY level, tile_index HAVING count(*) > 1 ORDER BY level, tile_index LIMIT %s
"""
_HEADS_TWICE = """
SELECT tree_size FROM tree_heads GROUP BY tree_size HAVING count(*) > 1 ORDER BY tree_size LIMIT %s
"""
_UNSIGNED = """
SELECT min(position), max(position), clock_timestamp() - min(sequenced_at) FROM journal WHERE position > %s
"""


def check_unrecorded(conn: Connection, account_id: str | None = None) -> Iterator[Fault]:
    """Events that neither the journal nor the outbox knows: slipped in past the engine, or their row is gone."""
    with translated():
        if account_id is None:
            found = conn.execute(f"{_UNRECORDED} {_IN_ORDER}", (REPORTED_MAX,)).fetchall()
        else:
            query = f"{_UNRECORDED} AND e.aggregate_id = %s {_IN_ORDER}"
            found = conn.execute(query, (account_id, REPORTED_MAX)).fetchall()
    for aggregate_id, version, event_type, recorded_at, after in found:
        detail = f"{event_type} is in no journal and in no outbox"
        if after is None or after < 1:
            after = _position_at(conn, recorded_at)
        yield Fault(Kind.UNRECORDED_EVENT, detail, None, aggregate_id, version, after)


def _position_at(conn: Connection, recorded_at: datetime) -> int:
    """Return the last position that was recorded before an instant: for an aggregate of which nothing is journaled.

    By halves: `recorded_at` rises along the journal but for the few seconds that a command may take.
    """
    low, high = 0, journal_end(conn)
    while low < high:
        middle = (low + high + 1) // 2
        with translated():
            row = conn.execute(_RECORDED_AT, (middle,)).fetchone()
        if row is None or row[0] is None or row[0] < recorded_at:
            low = middle
        else:
            high = middle - 1
    return seed(conn, low).position  # which may itself be missing


def check_positions(conn: Connection) -> Iterator[Fault]:
    """Yield a fault for each row of the journal at a position that is none, and for each event that has two."""
    with translated():
        misplaced = conn.execute(_NO_POSITIONS, (REPORTED_MAX,)).fetchall()
        repeated = conn.execute(_REPEATED, (REPORTED_MAX,)).fetchall()
    for position, aggregate_id, version, event_type in misplaced:
        what = f"{event_type} stands {'before the first position, 1' if position is not None else 'at no position'}"
        yield Fault(Kind.POSITION, what, position, aggregate_id, version)
    for aggregate_id, version, first, last in repeated:
        yield Fault(Kind.REPEATED_EVENT, f"it stands at position {first} too", last, aggregate_id, version)


def check_tree_rows(conn: Connection) -> Iterator[Fault]:
    """Yield a fault for each tile and each head that is stored twice: whoever reads takes either."""
    with translated():
        tiles = conn.execute(_TILES_TWICE, (REPORTED_MAX,)).fetchall()
        heads = conn.execute(_HEADS_TWICE, (REPORTED_MAX,)).fetchall()
    for level, index in tiles:
        yield Fault(Kind.TILE, f"tile {level}/{index} is stored twice", (index << (TILE_HEIGHT * (level + 1))) + 1)
    for (size,) in heads:
        yield Fault(Kind.HEAD, f"more than one head of size {size} is stored", size)


def check_signed(conn: Connection, covered: int) -> Iterator[Fault]:
    """Every position is under a signed head soon after it was given."""
    with translated():
        first, last, age = conn.execute(_UNSIGNED, (covered,)).fetchone() or (None, None, None)
    if first is not None and age is not None and age > UNSIGNED_MAX:
        yield Fault(Kind.UNSIGNED, f"positions {first} to {last} are under no signed head since {age}", first)
