"""Search entries against the events: everything that was said can be found, and nothing else can.

Forwards: each text of a window has an entry that is no younger than it. Backwards, at the end: the event that
each entry names says just that. Together an entry is the first event that said so, and no set of all texts
that were ever said has to be remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ledger.domain.account import AGGREGATE_TYPE
from ledger.store import history
from projections.consistency.finding import Finding, rows_of
from projections.consistency.fold import Step
from projections.source import Sequenced

ACCOUNT, DESCRIPTION = "account", "description"
CHUNK = 1_000
ENTRIES = "SELECT kind, reference, text, position FROM search_entries WHERE kind = %s AND reference = ANY(%s)"
NEXT = """
SELECT kind, reference, text, position FROM search_entries WHERE (kind, reference) > (%s, %s)
ORDER BY kind, reference LIMIT %s
"""


def compare_texts(cursor: Any, steps: Sequence[Step], account_id: str | None) -> Iterator[Finding]:
    """Yield the texts of a window that cannot be found as they were said first."""
    said: dict[tuple[str, str], tuple[str, int]] = {}
    for step in steps:
        event, position = step.sequenced.event, step.sequenced.position
        if account_id not in (None, event.aggregate_id):
            continue
        if event.version == 1:
            text = f"{event.aggregate_id} {step.after.owner_name}"
            said[ACCOUNT, event.aggregate_id] = (text, position)
        if step.moved_minor and event.data["description"]:
            description = event.data["description"]
            said.setdefault((DESCRIPTION, description), (description, position))
    for kind in (ACCOUNT, DESCRIPTION):
        references = [reference for k, reference in said if k == kind]
        found = {row["reference"]: row for row in rows_of(cursor, ENTRIES, (kind, references))} if references else {}
        for reference in references:
            text, position = said[kind, reference]
            row = found.get(reference)
            if row is None or row["text"] != text or row["position"] > position:
                expected = {"text": text, "position": f"at most {position}"}
                yield Finding("search", f"{kind} {reference}", expected, row)


def compare_entries(cursor: Any) -> Iterator[Finding]:
    """Yield the entries whose event does not say what they say."""
    last = ("", "")
    while rows := rows_of(cursor, NEXT, (*last, CHUNK)):
        events = {s.position: s for s in history.events_at([row["position"] for row in rows])}
        for row in rows:
            said = _said(events.get(row["position"]), row["kind"])
            if said != (row["reference"], row["text"]):
                yield Finding("search", f"{row['kind']} {row['reference']}", f"what event {row['position']} says", row)
        last = (rows[-1]["kind"], rows[-1]["reference"])


def _said(sequenced: Sequenced | None, kind: str) -> tuple[str, str] | None:
    """Return the reference and the text that an event is the source of; None when it is none."""
    if sequenced is None or sequenced.event.aggregate_type != AGGREGATE_TYPE:
        return None
    event = sequenced.event
    if kind == DESCRIPTION:
        description = event.data.get("description", "")
        return description, description
    return (event.aggregate_id, f"{event.aggregate_id} {event.data['owner_name']}") if event.version == 1 else None
