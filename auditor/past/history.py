"""The line of an account's balance over its life, from the event store, at a cost that its length does not change.

A short history is drawn from every event of it. A long one is probed at evenly spaced instants, one index probe
each, so the line is right at every point that it has, and an account of ten million events costs as much as one
of a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from auditor import sql
from auditor.past.instants import microseconds
from ledger.store.connection import connection, translated

POINTS_MAX = 240  # more than a chart has room for


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    balance_minor: int
    version: int

    def as_json(self) -> tuple[int, int, int]:
        return microseconds(self.at), self.balance_minor, self.version


def balance_history(account_id: str, first: datetime, last: datetime, versions: int) -> list[Point]:
    """Return points in order of time; between two of them the balance is the earlier one's, if every event is there."""
    statement, wanted = (
        (sql.BALANCES_BY_VERSION, None) if versions <= POINTS_MAX else (sql.BALANCES_AT, _instants(first, last))
    )
    with connection() as conn, translated():
        rows = conn.execute(statement, {"account_id": account_id, "instants": wanted, "limit": POINTS_MAX}).fetchall()
    return [Point(*row) for row in rows]


def _instants(first: datetime, last: datetime) -> list[datetime]:
    step = (last - first) / (POINTS_MAX - 1)
    return [first + step * index for index in range(POINTS_MAX - 1)] + [last]
