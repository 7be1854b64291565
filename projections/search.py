"""Search: one row per thing that can be found, with the text it is found by; trigrams match any part of it.

Accounts are found by id and owner, lines of a statement by what their description says. A description that
comes a thousand times is one row: it leads to the lines by an index of theirs.
"""

from __future__ import annotations

from ledger.domain.account import AGGREGATE_TYPE
from projections.projection import Batch, Cursor, Projection, columns

ACCOUNT, DESCRIPTION = "account", "description"
UPSERT = """
INSERT INTO search_entries (kind, reference, text, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::bigint[])
ON CONFLICT (kind, reference) DO UPDATE SET text = excluded.text, position = excluded.position
WHERE excluded.position < search_entries.position
"""


def apply(cursor: Cursor, batch: Batch) -> None:
    rows: dict[tuple[str, str], tuple[str, int]] = {}
    for sequenced in batch.events:
        event = sequenced.event
        if event.aggregate_type == AGGREGATE_TYPE and event.version == 1:
            rows[ACCOUNT, event.aggregate_id] = (
                f"{event.aggregate_id} {event.state['owner_name']}",
                sequenced.position,
            )
    for movement in batch.movements:
        if movement.description:
            rows.setdefault((DESCRIPTION, movement.description), (movement.description, movement.sequenced.position))
    if rows:
        cursor.execute(UPSERT, columns((*key, *row) for key, row in sorted(rows.items())))


PROJECTION = Projection(name="search", version=1, tables=("search_entries",), apply=apply)
