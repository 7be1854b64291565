"""Looks up what is to be reversed, before anything is decided: events never change, so it can be done outside.

Every path to the engine comes through here, so a reversal is never decided on what its caller says the original
was. What cannot be found is left for the rules to refuse. A command of the same call is not there yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from ledger.domain.commands import Reverse
from ledger.engine.submission import Submission
from ledger.store import originals
from ledger.store.connection import connection
from ledger.store.recorded import event_id_of


def with_originals(submissions: Sequence[Submission]) -> Sequence[Submission]:
    """Return the submissions, reversals with their originals; nothing is read when there are none."""
    wanted = {s.command: _event_id(s.command) for s in submissions if isinstance(s.command, Reverse)}
    if not wanted:
        return submissions
    with connection() as conn:
        found = originals.find_moved(conn, set(wanted.values()))
    return [
        replace(s, command=replace(s.command, original=found.get(wanted[s.command])))
        if isinstance(s.command, Reverse)
        else s
        for s in submissions
    ]


def _event_id(command: Reverse) -> UUID:
    """Return the event that the original is looked up by: the one that was named, or the command's first."""
    if command.event_id is not None:
        return UUID(command.event_id)
    return event_id_of(UUID(command.command_id), 0)
