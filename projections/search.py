"""Search: one row per thing that can be found, with the text it is found by; trigrams match any part of it.

Accounts are found by id and owner, lines of a statement by what their description says. A description that
comes a thousand times is one row: it leads to the lines by an index of theirs. After an erasure that row stays
while another line still says the same, and is gone with the last.
"""

from __future__ import annotations

from ledger.domain.account import AGGREGATE_TYPE
from projections.erasures import ERASED, LINES_TOUCHED, lines_are_there
from projections.projection import Batch, Cursor, Projection, columns

ACCOUNT, DESCRIPTION = "account", "description"
UPSERT = """
INSERT INTO search_entries (kind, reference, text, position)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::bigint[])
ON CONFLICT (kind, reference) DO UPDATE SET text = excluded.text, position = excluded.position
WHERE excluded.position < search_entries.position
"""
FORGET_OWNER = f"""
UPDATE search_entries SET text = reference || ' {ERASED}' WHERE kind = '{ACCOUNT}' AND reference = %s
"""  # noqa: S608 (made of constants)
# An entry stands for the first line that says it. One whose line has lost its text stands for the next, or is gone.
FORGET_DESCRIPTIONS = f"""
WITH orphaned AS (
    SELECT reference, (SELECT min(position) FROM transactions WHERE description = reference) AS next
    FROM search_entries AS entry
    WHERE kind = '{DESCRIPTION}' AND position IN ({LINES_TOUCHED})
      AND NOT EXISTS (SELECT 1 FROM transactions WHERE position = entry.position AND description = reference)
), gone AS (
    DELETE FROM search_entries AS entry USING orphaned
    WHERE kind = '{DESCRIPTION}' AND entry.reference = orphaned.reference AND next IS NULL
)
UPDATE search_entries AS entry SET position = next FROM orphaned
WHERE kind = '{DESCRIPTION}' AND entry.reference = orphaned.reference AND next IS NOT NULL
"""  # noqa: S608 (made of constants)


def apply(cursor: Cursor, batch: Batch) -> None:
    rows: dict[tuple[str, str], tuple[str, int]] = {}
    new = [s for s in batch.recorded if s.event.version == 1 and s.event.aggregate_type == AGGREGATE_TYPE]
    for sequenced, owner_name in zip(new, batch.owner_names(new), strict=True):
        account_id = sequenced.event.aggregate_id
        rows[ACCOUNT, account_id] = (f"{account_id} {owner_name}", sequenced.position)
    for movement in batch.movements:
        if movement.description not in ("", ERASED):
            rows.setdefault((DESCRIPTION, movement.description), (movement.description, movement.sequenced.position))
    if rows:
        cursor.execute(UPSERT, columns((*key, *row) for key, row in sorted(rows.items())))
    for erasure in batch.erasures:
        lines_are_there(cursor, PROJECTION.name, erasure)
        cursor.execute(FORGET_OWNER, (erasure.account_id,))
        cursor.execute(FORGET_DESCRIPTIONS, erasure.bounds)


PROJECTION = Projection(name="search", version=1, tables=("search_entries",), apply=apply)
