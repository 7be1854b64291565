"""Transfers: the two events of a transfer as one row. Both are of one command, so they come in one batch."""

from __future__ import annotations

from ledger.store.journal import Sequenced
from projections.projection import Batch, Cursor, Projection, columns

COMPLETED = "completed"
INSERT = """
INSERT INTO transfers (transfer_id, from_account_id, to_account_id, amount_minor, currency, description, status,
                       withdrawn_event_id, deposited_event_id, recorded_at, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[],
                     %b::uuid[], %b::uuid[], %b::timestamptz[], %b::bigint[])
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    withdrawn = {s.event.data["transfer_id"]: s for s in batch.events if s.event.event_type == "MoneyWithdrawn"}
    rows = [
        _row(withdrawn[transfer_id], deposited)
        for deposited in batch.events
        if deposited.event.event_type == "MoneyDeposited" and (transfer_id := deposited.event.data["transfer_id"])
    ]
    if rows:
        cursor.execute(INSERT, columns(rows))


def _row(withdrawn: Sequenced, deposited: Sequenced) -> tuple[object, ...]:
    data = withdrawn.event.data
    return (
        data["transfer_id"], withdrawn.event.aggregate_id, deposited.event.aggregate_id, data["amount_minor"],
        data["currency"], data["description"], COMPLETED, withdrawn.event.event_id, deposited.event.event_id,
        deposited.event.recorded_at, deposited.position,
    )  # fmt: skip


PROJECTION = Projection(name="transfers", version=1, tables=("transfers",), apply=apply)
