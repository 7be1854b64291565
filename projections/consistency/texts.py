"""Search entries against the events: everything that was said can be found, and nothing else can.

Forwards: each text of a window that is not erased has an entry that is no younger than it. Backwards, at the end:
the line that each entry names says just that, as do the accounts; both are known to be right by then. Together an
entry is the first line that still says so, and no set of all texts that were ever said has to be remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ledger.domain.account import ERASED
from projections.consistency.erased import Erasures
from projections.consistency.finding import Finding, rows_of
from projections.consistency.fold import Step

ACCOUNT, DESCRIPTION = "account", "description"
ENTRIES = "SELECT kind, reference, text, position FROM search_entries WHERE kind = %s AND reference = ANY(%s)"
WRONG_ENTRIES = """
SELECT kind, reference, text, position FROM search_entries AS entry
WHERE CASE kind
    WHEN 'account' THEN NOT EXISTS (
        SELECT 1 FROM accounts WHERE account_id = reference AND text = account_id || ' ' || owner_name
    )
    WHEN 'description' THEN text <> reference OR NOT EXISTS (
        SELECT 1 FROM transactions AS line WHERE line.position = entry.position AND description = reference
    )
    ELSE true END
ORDER BY kind, reference
"""


def compare_texts(cursor: Any, steps: Sequence[Step], erasures: Erasures, account_id: str | None) -> Iterator[Finding]:
    """Yield the texts of a window that cannot be found as they were said first."""
    said: dict[tuple[str, str], tuple[str, int]] = {}
    for step in steps:
        event, position = step.sequenced.event, step.sequenced.position
        if account_id not in (None, event.aggregate_id):
            continue
        if event.version == 1:
            owner_name = erasures.text(step.after.owner_name, [event.aggregate_id], position)
            said[ACCOUNT, event.aggregate_id] = (f"{event.aggregate_id} {owner_name}", position)
        if step.moved_minor and step.description not in ("", ERASED):
            said.setdefault((DESCRIPTION, step.description), (step.description, position))
    for kind in (ACCOUNT, DESCRIPTION):
        references = [reference for k, reference in said if k == kind]
        found = {row["reference"]: row for row in rows_of(cursor, ENTRIES, (kind, references))} if references else {}
        for reference in references:
            text, position = said[kind, reference]
            row = found.get(reference)
            is_first = row is not None and (
                row["position"] == position or (row["position"] < position and kind != ACCOUNT)
            )
            if row is None or row["text"] != text or not is_first:
                expected = {"text": text, "position": f"at most {position}"}
                yield Finding("search", f"{kind} {reference}", expected, row)


def compare_entries(cursor: Any) -> Iterator[Finding]:
    """Yield the entries that stand for nothing that is said where they say it is."""
    for row in rows_of(cursor, WRONG_ENTRIES):
        yield Finding("search", f"{row['kind']} {row['reference']}", None, row)
