"""Lines and postings against the steps of the fold, a window of whole commands at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from projections.consistency.finding import Finding, Row, compare, rows_of
from projections.consistency.fold import Step, sides_of

# Said once more, apart from the projection's own table: what a statement calls an event, alone and in a transfer.
KINDS = {
    "MoneyDeposited": ("deposit", "transfer_in"),
    "MoneyWithdrawn": ("withdrawal", "transfer_out"),
    "HoldCaptured": ("capture", "transfer_out"),
}
LINES = "SELECT * FROM transactions WHERE position BETWEEN %s AND %s AND (%s::text IS NULL OR account_id = %s)"
POSTINGS = """
SELECT * FROM postings
WHERE posting_id BETWEEN 2 * %s::bigint AND 2 * %s::bigint + 1 AND (%s::text IS NULL OR account_id = %s)
"""
UNBALANCED = """
SELECT command_id, currency, sum(amount_minor)::bigint AS total FROM postings
WHERE posting_id BETWEEN 2 * %s::bigint AND 2 * %s::bigint + 1 GROUP BY 1, 2 HAVING sum(amount_minor) <> 0
"""


def compare_lines(cursor: Any, steps: Sequence[Step], window: tuple[int, int],
                  account_id: str | None) -> Iterator[Finding]:  # fmt: skip
    """Yield what differs within a window of positions; of one account only, when it is named."""
    moved = [s for s in steps if s.moved_minor and account_id in (None, s.sequenced.event.aggregate_id)]
    wanted = {step.sequenced.position: _line(step) for step in moved}
    bounds = (*window, account_id, account_id)
    found = {row["position"]: row for row in rows_of(cursor, LINES, bounds)}
    yield from compare("transactions", "event", wanted, found)
    # The other side of one account's money is another's, or the outside's, and not asked for.
    postings = dict(posting for step in moved for posting in _postings(step, account_id))
    found = {row["posting_id"]: row for row in rows_of(cursor, POSTINGS, bounds)}
    yield from compare("postings", "posting", postings, found)
    if account_id is None:
        for row in rows_of(cursor, UNBALANCED, window):
            yield Finding("postings", f"command {row['command_id']} in {row['currency']}", 0, row["total"])


def _line(step: Step) -> Row:
    event = step.sequenced.event
    transfer_id = event.data.get("transfer_id")
    return {
        "event_id": event.event_id,
        "account_id": event.aggregate_id,
        "version": event.version,
        "kind": "reversal" if event.data.get("reverses") else KINDS[event.event_type][transfer_id is not None],
        "amount_minor": step.moved_minor,
        "balance_minor": step.after.balance_minor,
        "currency": step.after.currency,
        "counter_account": event.data["counter_account"],
        "transfer_id": transfer_id,
        "description": step.description,
        "recorded_at": event.recorded_at,
        "effective_at": event.effective_at,
    }


def _postings(step: Step, account_id: str | None) -> Iterator[tuple[int, Row]]:
    event, position = step.sequenced.event, step.sequenced.position
    for posted_on, is_external, amount_minor in sides_of(step):
        if account_id in (None, posted_on):
            yield (
                2 * position + is_external,
                {
                    "position": position,
                    "command_id": step.sequenced.command_id,
                    "account_id": posted_on,
                    "is_external": is_external,
                    "currency": step.after.currency,
                    "amount_minor": amount_minor,
                    "recorded_at": event.recorded_at,
                    "effective_at": event.effective_at,
                },
            )
