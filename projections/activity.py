"""Activity: how many events of each type were recorded in each minute, and how much money they moved."""

from __future__ import annotations

from projections.projection import Batch, Cursor, Projection, columns

ADD = """
INSERT INTO activity (minute, event_type, currency, events, amount_minor)
SELECT * FROM unnest(%b::timestamptz[], %b::text[], %b::text[], %b::bigint[], %b::numeric[])
ON CONFLICT (minute, event_type, currency) DO UPDATE SET
    events = activity.events + excluded.events, amount_minor = activity.amount_minor + excluded.amount_minor
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    amounts = {m.sequenced.position: m for m in batch.movements}
    sums: dict[tuple[object, ...], list[int]] = {}
    for sequenced in batch.recorded:
        movement = amounts.get(sequenced.position)
        minute = sequenced.event.recorded_at.replace(second=0, microsecond=0)
        # An event that moves no money counts under no currency.
        row = sums.setdefault((minute, sequenced.event.event_type, movement.currency if movement else ""), [0, 0])
        row[0] += 1
        row[1] += abs(movement.amount_minor) if movement else 0
    cursor.execute(ADD, columns((*key, *row) for key, row in sums.items()))


PROJECTION = Projection(name="activity", version=1, tables=("activity",), apply=apply)
