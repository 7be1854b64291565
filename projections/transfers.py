"""Transfers: the events of a transfer as one row. They are all of one command, so they come in one batch.

A multi-transfer shows its first source, its first target and what all sources gave in the first's currency;
an exchange shows what was given. The whole of it is in `transactions`, under the same transfer_id.
"""

from __future__ import annotations

from collections import defaultdict

from ledger.store.journal import Sequenced
from projections.erasures import ERASED, lines_are_there
from projections.projection import Batch, Cursor, Projection, columns

COMPLETED = "completed"
INSERT = """
INSERT INTO transfers (transfer_id, from_account_id, to_account_id, amount_minor, currency, description, status,
                       withdrawn_event_id, deposited_event_id, recorded_at, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[],
                     %b::uuid[], %b::uuid[], %b::timestamptz[], %b::bigint[])
"""
# By the lines, because the account may have been any of the legs of a multi-transfer.
FORGET = f"""
UPDATE transfers SET description = '{ERASED}'
WHERE description NOT IN ('', '{ERASED}') AND transfer_id IN (
    SELECT transfer_id FROM transactions
    WHERE account_id = %(account_id)s AND position < %(position)s AND transfer_id IS NOT NULL
)
"""  # noqa: S608 (made of constants)


def apply(cursor: Cursor, batch: Batch) -> None:
    given, received = _by_transfer(batch, "MoneyWithdrawn"), _by_transfer(batch, "MoneyDeposited")
    if rows := [_row(given[transfer_id], received[transfer_id]) for transfer_id in given]:
        cursor.execute(INSERT, columns(rows))
    for erasure in batch.erasures:
        lines_are_there(cursor, PROJECTION.name, erasure)
        cursor.execute(FORGET, erasure.bounds)


def _by_transfer(batch: Batch, event_type: str) -> dict[str, list[Sequenced]]:
    found: dict[str, list[Sequenced]] = defaultdict(list)
    for sequenced in batch.events:
        if sequenced.event.event_type == event_type and (transfer_id := sequenced.event.data["transfer_id"]):
            found[transfer_id].append(sequenced)
    return found


def _row(given: list[Sequenced], received: list[Sequenced]) -> tuple[object, ...]:
    source, target, last = given[0].event, received[0].event, received[-1]
    data = source.data
    amount_minor = sum(s.event.data["amount_minor"] for s in given if s.event.data["currency"] == data["currency"])
    return (
        data["transfer_id"], source.aggregate_id, target.aggregate_id, amount_minor, data["currency"],
        data["description"], COMPLETED, source.event_id, target.event_id, last.event.recorded_at, last.position,
    )  # fmt: skip


PROJECTION = Projection(name="transfers", version=1, tables=("transfers",), apply=apply)
