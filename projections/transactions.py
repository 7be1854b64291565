"""Transactions: one line per money event, with the balance it left. The account's statement."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.store.journal import Sequenced
from projections.projection import Cursor, Projection, columns

INSERT = """
INSERT INTO transactions (position, event_id, account_id, version, kind, amount_minor, balance_minor, currency,
                          counter_account, transfer_id, description, recorded_at, effective_at)
SELECT * FROM unnest(%b::bigint[], %b::uuid[], %b::text[], %b::bigint[], %b::text[], %b::bigint[], %b::bigint[],
                     %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[])
"""
# event type → (sign of the amount, kind when alone, kind within a transfer)
KINDS = {
    "MoneyDeposited": (1, "deposit", "transfer_in"),
    "MoneyWithdrawn": (-1, "withdrawal", "transfer_out"),
}


def apply(cursor: Cursor, events: Sequence[Sequenced]) -> None:
    rows = [_row(sequenced) for sequenced in events if sequenced.event.event_type in KINDS]
    if rows:
        cursor.execute(INSERT, columns(rows))


def _row(sequenced: Sequenced) -> tuple[object, ...]:
    event, data = sequenced.event, sequenced.event.data
    sign, alone, within_transfer = KINDS[event.event_type]
    return (
        sequenced.position, event.event_id, event.aggregate_id, event.version,
        within_transfer if data["transfer_id"] else alone, sign * data["amount_minor"],
        event.state["balance_minor"], data["currency"], data["counter_account"], data["transfer_id"],
        data["description"], event.recorded_at, event.effective_at,
    )  # fmt: skip


PROJECTION = Projection(name="transactions", version=1, tables=("transactions",), apply=apply)
