"""Checks that need the whole store at once, each one statement: what is in one table and not in the other.

They read in one snapshot, so a command that moves from outbox to journal meanwhile is seen in one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from ledger.store.connection import translated
from ledger.store.tree import Connection
from ledger.verify.faults import Fault, Kind

REPORTED_MAX = 200
# A head is signed each second; positions that have none after this long are protected by nobody's signature.
UNSIGNED_MAX = timedelta(seconds=60)
_UNRECORDED = """
SELECT e.aggregate_id, e.version, e.event_type FROM events AS e
LEFT JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
WHERE j.position IS NULL
  AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.command_id::text = e.metadata ->> 'command_id')
"""
_IN_ORDER = "ORDER BY e.aggregate_id, e.version LIMIT %s"
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
    for aggregate_id, version, event_type in found:
        detail = f"{event_type} is in no journal and in no outbox"
        yield Fault(Kind.UNRECORDED_EVENT, detail, None, aggregate_id, version)


def check_signed(conn: Connection, covered: int) -> Iterator[Fault]:
    """Every position is under a signed head soon after it was given."""
    with translated():
        first, last, age = conn.execute(_UNSIGNED, (covered,)).fetchone() or (None, None, None)
    if first is not None and age is not None and age > UNSIGNED_MAX:
        yield Fault(Kind.UNSIGNED, f"positions {first} to {last} are under no signed head since {age}", first)
