"""Holds: every reservation of money, from its placing to its end. The worker that ends them finds the due ones here.

What a hold holds is decided by the account's own state; a row that is late here can only make a release late.
"""

from __future__ import annotations

from ledger.domain.commands import ExpireHold, type_of
from ledger.domain.instants import parse_instant
from ledger.store.journal import Sequenced
from projections.projection import Batch, Cursor, Projection, columns

OPEN, CAPTURED, RELEASED, EXPIRED = "open", "captured", "released", "expired"
INSERT = """
INSERT INTO holds (hold_id, account_id, currency, amount_minor, captured_minor, description, status, placed_at,
                   expires_at, closed_at, position)
SELECT hold_id, account_id, currency, amount_minor, 0, description, 'open', placed_at, expires_at, NULL, position
FROM unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[],
            %b::bigint[])
  AS placed (hold_id, account_id, currency, amount_minor, description, placed_at, expires_at, position)
"""
CLOSE = """
UPDATE holds SET status = closed.status, captured_minor = closed.captured_minor, closed_at = closed.closed_at,
    position = closed.position
FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::timestamptz[], %b::bigint[])
  AS closed (hold_id, status, captured_minor, closed_at, position)
WHERE holds.hold_id = closed.hold_id
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    placed = [_placed(s) for s in batch.events if s.event.event_type == "FundsHeld"]
    closed = [_closed(s) for s in batch.events if s.event.event_type in ("HoldCaptured", "HoldReleased")]
    # In this order: what is placed and closed within one batch is open in between.
    if placed:
        cursor.execute(INSERT, columns(placed))
    if closed:
        cursor.execute(CLOSE, columns(closed))


def _placed(sequenced: Sequenced) -> tuple[object, ...]:
    event, data = sequenced.event, sequenced.event.data
    expires_at = data["expires_at"] and parse_instant(data["expires_at"])
    return (
        data["hold_id"], event.aggregate_id, data["currency"], data["amount_minor"], data["description"],
        event.recorded_at, expires_at, sequenced.position,
    )  # fmt: skip


def _closed(sequenced: Sequenced) -> tuple[object, ...]:
    event = sequenced.event
    if event.event_type == "HoldCaptured":
        status, captured_minor = CAPTURED, event.data["amount_minor"]
    else:
        # Not by the event's reason, which is a text that anybody may write.
        is_expiry = event.metadata["command_type"] == type_of[ExpireHold]
        status, captured_minor = EXPIRED if is_expiry else RELEASED, 0
    return (event.data["hold_id"], status, captured_minor, event.recorded_at, sequenced.position)


PROJECTION = Projection(name="holds", version=1, tables=("holds",), apply=apply)
