"""Postings: double entry. Two lines for money that comes from or goes outside, one for each side of a transfer."""

from __future__ import annotations

from projections.arrays import arrays
from projections.money import Posting
from projections.projection import Batch, Cursor, Projection

INSERT = """
INSERT INTO postings (posting_id, position, command_id, account_id, is_external, currency, amount_minor,
                      recorded_at, effective_at)
SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::uuid[], %b::text[], %b::bool[], %b::text[], %b::bigint[],
                     %b::timestamptz[], %b::timestamptz[])
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    if rows := [_row(posting) for posting in batch.postings]:
        cursor.execute(INSERT, arrays(INSERT, rows))


def _row(posting: Posting) -> tuple[object, ...]:
    sequenced = posting.movement.sequenced
    return (
        # The event's own side is even, the outside odd: unique, and in the order of the journal.
        2 * sequenced.position + posting.is_external, sequenced.position, sequenced.command_id, posting.account_id,
        posting.is_external, posting.movement.currency, posting.amount_minor,
        sequenced.event.recorded_at, sequenced.event.effective_at,
    )  # fmt: skip


PROJECTION = Projection(name="postings", version=1, tables=("postings",), apply=apply)
