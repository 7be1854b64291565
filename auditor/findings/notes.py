"""The notes of findings: free text about an account's owner, and so sealed under the owner's key like the ledger's own.

An erasure takes them without having to know of them. A note about an event is about the accounts that its command
names; one about what belongs to nobody (a change of the log's key) stays as it is written.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from auditor.access_log import ACCOUNT
from ledger.domain.account import Account
from ledger.store import event_store, history
from ledger.subjects.keys import RING
from ledger.subjects.seal import is_sealed
from ledger.subjects.texts import open_texts


def sealed_note(note: str, kind: str, subject_id: str) -> str:
    """Return a note as it is stored. Raises: KeysUnavailable, StoreUnavailable."""
    ids = [subject_id] if kind == ACCOUNT else _accounts_of_event(UUID(subject_id))
    heads = event_store.read(ids).heads if ids else {}
    owners = [(id_, head.state.erasures) for id_, head in heads.items() if isinstance(head.state, Account)]
    if not owners:
        return note
    RING.ensure(owners)
    key = RING.to_seal(owners)
    assert key is not None, "a key that was just made is there"
    return key.seal(note)


def opened_note(row: Any) -> str:
    """Return the note of a finding, or of a step of one, as people read it. Raises: KeysUnavailable."""
    note: str = row.note
    return open_texts([note])[note] if is_sealed(note) else note


def _accounts_of_event(event_id: UUID) -> list[str]:
    found = history.find_event(event_id)
    if found is None:
        return []
    event, position, _ = found
    if position is None or event.metadata["command_size"] == 1:
        return [event.aggregate_id]
    size, index = event.metadata["command_size"], event.metadata["command_index"]
    beside = history.sequenced_events(position - index - 1, size, None, None)
    return sorted({sequenced.event.aggregate_id for sequenced in beside})
