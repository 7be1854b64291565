"""Checks of one row on its own: the event's hash, its link to the version before, its replayed state.

What holds is asked in one condition, and only what does not is looked at closely: words for a difference are
needed once in a lifetime, the question for every event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from ledger.store.recorded import RecordedEvent, hash_of
from ledger.verify.chains import Chains, Link
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.replay import replay
from ledger.verify.rows import Row

NONE: tuple[Fault, ...] = ()


def check_event(row: Row, before: Link | None, chains: Chains) -> Iterable[Fault]:
    """Return the faults of one row, none for a row that holds; and advance its chain."""
    if row.hash is None:
        what = "the event is gone" if row.event_id is None else "the event has no hash"
        return (fault_at(row, Kind.MISSING_EVENT, f"the journal has its place, and {what}"),)
    chains.advance(row)
    computed, why_not = _hash_of(row)
    if before is None:
        why = f"version {row.version - 1} is missing" if row.version > 1 else "versions start at 1"
        missing = fault_at(row, Kind.VERSION, why)
        return (*_check_hash(row, computed, why_not), missing)
    different = replay(before.state, row)
    if (
        different is None
        and computed == row.hash == row.event_hash
        and row.agrees
        and _names_its_command(row)
        and row.previous_hash == before.hash
        and _stands_after(row, before)
        and _was_recorded_after(row, before)
    ):
        return NONE
    faults = [*_check_hash(row, computed, why_not), *_check_link(row, before)]
    if different:
        faults.append(fault_at(row, Kind.STATE, different))
    return faults


def _hash_of(row: Row) -> tuple[bytes | None, str]:
    """Return the hash of the event's bytes, or None and why it has none: a float, an integer beyond 2^53."""
    try:
        return hash_of(cast(RecordedEvent, row)), ""  # a row has an event's columns, by name
    except TypeError as error:
        return None, str(error)


def _names_its_command(row: Row) -> bool:
    """Return whether the event itself, whose bytes are hashed, says what the journal says of its command."""
    metadata = row.metadata
    return (
        type(metadata) is dict
        and metadata.get("command_id") == row.command_id
        and metadata.get("command_index") == row.command_index
        and metadata.get("command_size") == row.command_size
    )


def _stands_after(row: Row, before: Link) -> bool:
    return before.position is None or before.position < row.position


def _was_recorded_after(row: Row, before: Link) -> bool:
    """Return whether recorded_at rose from the command before; the events of one command share it."""
    if before.recorded_at is None:
        return True
    if before.command_id == row.command_id:
        return row.recorded_at == before.recorded_at
    return row.recorded_at > before.recorded_at


def _check_hash(row: Row, computed: bytes | None, why_not: str) -> Iterator[Fault]:
    if row.hash != row.event_hash:
        detail = f"the event's hash is {short(row.hash)}, in the journal {short(row.event_hash)}"
        yield fault_at(row, Kind.JOURNAL_DIFFERS, detail)
    if not (row.agrees and _names_its_command(row)):
        yield fault_at(row, Kind.JOURNAL_DIFFERS, "id, type or command are not those of the event")
    if computed is None:
        yield fault_at(row, Kind.HASH, f"the event holds what canonical JSON cannot: {why_not}")
    elif computed != row.hash:
        yield fault_at(row, Kind.HASH, f"stored {short(row.hash)}, but its bytes hash to {short(computed)}")


def _check_link(row: Row, before: Link) -> Iterator[Fault]:
    if row.previous_hash != before.hash:
        detail = f"follows {short(row.previous_hash)}, but version {before.version} is {short(before.hash)}"
        yield fault_at(row, Kind.PREVIOUS_HASH, detail)
    if not _stands_after(row, before):
        detail = f"stands before version {before.version}, which is at position {before.position}"
        yield fault_at(row, Kind.VERSION, detail)
    if not _was_recorded_after(row, before):
        yield fault_at(row, Kind.RECORDED_AT, f"{row.recorded_at} after {before.recorded_at} of the version before")


def unreadable(row: Row, error: Exception) -> Fault:
    """Return the fault of a row that a check stumbled over."""
    return fault_at(row, Kind.UNREADABLE, f"it cannot be checked: {type(error).__name__}: {error}")


def fault_at(row: Row, kind: Kind, detail: str) -> Fault:
    return Fault(kind, detail, row.position, row.aggregate_id, row.version)
