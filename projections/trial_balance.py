"""Trial balance: per currency, all accounts on one side and the outside world on the other. Together they are zero."""

from __future__ import annotations

from projections.arrays import arrays
from projections.projection import Batch, Cursor, Projection

ADD = """
INSERT INTO trial_balance (currency, accounts_minor, external_minor, debits_minor, credits_minor, postings, position)
SELECT * FROM unnest(%b::text[], %b::numeric[], %b::numeric[], %b::numeric[], %b::numeric[], %b::bigint[], %b::bigint[])
ON CONFLICT (currency) DO UPDATE SET
    accounts_minor = trial_balance.accounts_minor + excluded.accounts_minor,
    external_minor = trial_balance.external_minor + excluded.external_minor,
    debits_minor = trial_balance.debits_minor + excluded.debits_minor,
    credits_minor = trial_balance.credits_minor + excluded.credits_minor,
    postings = trial_balance.postings + excluded.postings,
    position = greatest(trial_balance.position, excluded.position)
"""
ACCOUNTS, OUTSIDE, DEBITS, CREDITS, POSTINGS, POSITION = range(6)


def apply(cursor: Cursor, batch: Batch) -> None:
    sums: dict[str, list[int]] = {}
    for posting in batch.postings:
        row = sums.setdefault(posting.movement.currency, [0] * 6)
        row[OUTSIDE if posting.is_external else ACCOUNTS] += posting.amount_minor
        row[CREDITS if posting.amount_minor > 0 else DEBITS] += abs(posting.amount_minor)
        row[POSTINGS] += 1
        row[POSITION] = posting.movement.sequenced.position
    if sums:
        cursor.execute(ADD, arrays(ADD, ((currency, *sums[currency]) for currency in sorted(sums))))


PROJECTION = Projection(name="trial_balance", version=1, tables=("trial_balance",), apply=apply)
