"""Transactions: one line per money event, with the balance it left. The account's statement, without what is erased."""

from __future__ import annotations

from ledger.domain.cash import INITIAL_BALANCE
from projections.arrays import arrays
from projections.erasures import ERASED, LINES_TOUCHED
from projections.money import Movement
from projections.projection import Batch, Cursor, Projection

INSERT = """
INSERT INTO transactions (position, event_id, account_id, version, kind, amount_minor, balance_minor, currency,
                          counter_account, transfer_id, description, recorded_at, effective_at)
SELECT * FROM unnest(%b::bigint[], %b::uuid[], %b::text[], %b::bigint[], %b::text[], %b::bigint[], %b::bigint[],
                     %b::text[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[])
"""


FORGET = f"""
UPDATE transactions SET description = '{ERASED}'
WHERE position IN ({LINES_TOUCHED}) AND description NOT IN ('', '{ERASED}', '{INITIAL_BALANCE}')
"""  # noqa: S608 (made of constants)


def apply(cursor: Cursor, batch: Batch) -> None:
    if rows := [_row(movement) for movement in batch.movements]:
        cursor.execute(INSERT, arrays(INSERT, rows))
    for erasure in batch.erasures:
        cursor.execute(FORGET, erasure.bounds)


def _row(movement: Movement) -> tuple[object, ...]:
    event = movement.sequenced.event
    return (
        movement.sequenced.position, event.event_id, event.aggregate_id, event.version, movement.kind,
        movement.amount_minor, event.state["balance_minor"], movement.currency, movement.counter_account,
        movement.transfer_id, movement.description, event.recorded_at, event.effective_at,
    )  # fmt: skip


PROJECTION = Projection(name="transactions", version=1, tables=("transactions",), apply=apply)
