"""Originals, read from the store: what a reversal is about.

One module for the engine and for verification, so that both take the same command for the original.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import psycopg

from ledger.domain.commands import EVENTS_MAX
from ledger.domain.events import TRANSFER, TransferCompleted
from ledger.domain.original import Original, original_of
from ledger.store import sql
from ledger.store.connection import translated
from ledger.store.recorded import RecordedEvent, event_id_of

ENDED = 2  # the version of a transfer in steps that has completed or failed: there is no third


def find(conn: psycopg.Connection[Any], event_ids: Collection[UUID]) -> dict[UUID, Original]:
    """Return the commands that these events are of, by event; none for an event that does not exist.

    Shape: two round trips, however many there are.
    """
    named = _read(conn, event_ids)
    ids_of = {event.metadata["command_id"]: _event_ids(event) for event in named.values()}
    events = named | _read(conn, {id_ for ids in ids_of.values() for id_ in ids} - named.keys())
    originals = {command_id: _original(command_id, [events[id_] for id_ in ids]) for command_id, ids in ids_of.items()}
    return {event_id: originals[event.metadata["command_id"]] for event_id, event in named.items()}


def find_moved(conn: psycopg.Connection[Any], event_ids: Collection[UUID]) -> dict[UUID, Original]:
    """Do the same, but for the start of a transfer in steps return what completed it: the command that moved the money.

    **Why** whoever started it has that id alone. What is decided, and counted, is about the command that moved the
    money, whichever of the two was named; verification asks for that one, and so it uses `find`.
    """
    found = find(conn, event_ids)
    completed = _completed(conn, {original.command_id for original in found.values() if not original.legs})
    settled = find(conn, completed.values()) if completed else {}
    return {
        event_id: settled[completed[original.command_id]] if original.command_id in completed else original
        for event_id, original in found.items()
    }


def _completed(conn: psycopg.Connection[Any], command_ids: Collection[str]) -> dict[str, UUID]:
    """Return the event that completed the transfer in steps which a command started, for those that did and it has."""
    if not command_ids:
        return {}
    keys = [TRANSFER + command_id for command_id in command_ids], [ENDED] * len(command_ids)
    with translated():
        rows = conn.execute(sql.READ_EVENTS_BY_KEY, keys, binary=True).fetchall()
    return {
        event.aggregate_id.removeprefix(TRANSFER): event.event_id
        for event in (RecordedEvent(*row) for row in rows)
        if event.event_type == TransferCompleted.__name__
    }


def _read(conn: psycopg.Connection[Any], event_ids: Collection[UUID]) -> dict[UUID, RecordedEvent]:
    with translated():
        rows = conn.execute(sql.READ_EVENTS_BY_ID, (list(event_ids),), binary=True).fetchall()
    return {row[0]: RecordedEvent(*row) for row in rows}


def _event_ids(event: RecordedEvent) -> list[UUID]:
    """Return the ids of all events of the command that an event is of."""
    command_id = UUID(event.metadata["command_id"])
    # Bounded, because verification reads what somebody may have stored instead.
    return [event_id_of(command_id, index) for index in range(min(event.metadata["command_size"], EVENTS_MAX))]


def _original(command_id: str, events: Sequence[RecordedEvent]) -> Original:
    return original_of(
        command_id, ((str(e.event_id), e.aggregate_id, e.event_type, e.data, e.schema_version) for e in events)
    )
