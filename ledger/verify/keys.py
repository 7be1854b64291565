"""Checks how the log's keys followed one another: every change is signed by the key before and the key after it."""

from __future__ import annotations

from dataclasses import replace

from ledger.domain.events import LOG_KEYS
from ledger.store import succession
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import Change, Trust
from ledger.store.tree import Connection
from ledger.verify.faults import NONSENSE, Fault, Kind


def follow_keys(conn: Connection, trust: Trust) -> tuple[Trust, list[Fault]]:
    """Return whom to believe at which size, and a fault for a change that is none: nothing after it counts."""
    found: list[Change] = []
    for version, (position, data) in enumerate(succession.recorded(conn), start=1):
        try:
            change = succession.read_change(position, data)
            succession.check_change(change, found[-1] if found else None)
        except (InvalidNote, *NONSENSE) as error:
            fault = Fault(Kind.KEY, f"the change of keys does not hold: {error}", position, LOG_KEYS, version)
            return replace(trust, changes=tuple(found)), [fault]
        found.append(change)
    return replace(trust, changes=tuple(found)), []
