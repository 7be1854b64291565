"""Accounts: the latest state of each. Every event carries the state after it, so the last one of a batch says all."""

from __future__ import annotations

from ledger.domain.account import AGGREGATE_TYPE
from ledger.domain.instants import parse_instant
from ledger.store.journal import Sequenced
from projections.projection import Batch, Cursor, Projection, columns

UPSERT = """
INSERT INTO accounts (account_id, owner_name, currency, status, balance_minor, held_minor, overdraft_limit_minor,
                      version, opened_at, updated_at, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[],
                     %b::bigint[], %b::timestamptz[], %b::timestamptz[], %b::bigint[])
ON CONFLICT (account_id) DO UPDATE SET
    owner_name = excluded.owner_name, status = excluded.status, balance_minor = excluded.balance_minor,
    held_minor = excluded.held_minor, overdraft_limit_minor = excluded.overdraft_limit_minor,
    version = excluded.version, updated_at = excluded.updated_at, position = excluded.position
WHERE accounts.version < excluded.version
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    latest = {s.event.aggregate_id: s for s in batch.recorded if s.event.aggregate_type == AGGREGATE_TYPE}
    if latest:
        last = [latest[account_id] for account_id in sorted(latest)]
        names = batch.owner_names(last)
        cursor.execute(UPSERT, columns(_row(*one) for one in zip(last, names, strict=True)))


def _row(sequenced: Sequenced, owner_name: str) -> tuple[object, ...]:
    event, state = sequenced.event, sequenced.event.state
    return (
        event.aggregate_id, owner_name, state["currency"], state["status"], state["balance_minor"],
        state["held_minor"], state["overdraft_limit_minor"], event.version, parse_instant(state["opened_at"]),
        event.recorded_at, sequenced.position,
    )  # fmt: skip


PROJECTION = Projection(name="accounts", version=1, tables=("accounts",), apply=apply)
