"""Daily balances: what each account, the outside world included, moved on each day (UTC) that it counts for.

Kept as movements, not as closing balances: a command that counts for a past day changes one row instead of
all the days since. A closing balance is the sum of an account's rows up to the day.
"""

from __future__ import annotations

from projections.arrays import arrays
from projections.projection import Batch, Cursor, Projection

ADD = """
INSERT INTO daily_balances (account_id, is_external, currency, day, debits_minor, credits_minor, postings)
SELECT * FROM unnest(%b::text[], %b::bool[], %b::text[], %b::date[], %b::numeric[], %b::numeric[], %b::bigint[])
ON CONFLICT (account_id, is_external, day) DO UPDATE SET
    debits_minor = daily_balances.debits_minor + excluded.debits_minor,
    credits_minor = daily_balances.credits_minor + excluded.credits_minor,
    postings = daily_balances.postings + excluded.postings
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    sums: dict[tuple[object, ...], list[int]] = {}
    for posting in batch.postings:
        day = posting.movement.sequenced.event.effective_at.date()
        key = (posting.account_id, posting.is_external, posting.movement.currency, day)
        row = sums.setdefault(key, [0, 0, 0])
        row[posting.amount_minor > 0] += abs(posting.amount_minor)
        row[2] += 1
    if sums:
        cursor.execute(ADD, arrays(ADD, ((*key, *row) for key, row in sums.items())))


PROJECTION = Projection(name="daily_balances", version=1, tables=("daily_balances",), apply=apply)
