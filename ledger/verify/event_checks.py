"""Checks of one row on its own: the event's hash, its link to the version before, its replayed state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ledger.store.recorded import RecordedEvent, hash_of
from ledger.verify.chains import Chains, Link
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.replay import replay
from ledger.verify.rows import Row


def check_event(row: Row, chains: Chains) -> Iterator[Fault]:
    """Yield the faults of one row, none for a row that holds; and advance its chain."""
    if row.hash is None:
        yield fault_at(row, Kind.MISSING_EVENT, "the journal has its place, and the event is gone")
        return
    if row.hash != row.event_hash:
        detail = f"the event's hash is {short(row.hash)}, in the journal {short(row.event_hash)}"
        yield fault_at(row, Kind.JOURNAL_DIFFERS, detail)
    if not row.agrees:
        yield fault_at(row, Kind.JOURNAL_DIFFERS, "id, type or command are not those of the event")
    try:
        computed = hash_of(cast(RecordedEvent, row))  # a row has an event's columns, by name
    except TypeError as error:  # a float, or an integer beyond 2^53
        yield fault_at(row, Kind.HASH, f"the event holds what canonical JSON cannot: {error}")
    else:
        if computed != row.hash:
            yield fault_at(row, Kind.HASH, f"stored {short(row.hash)}, but its bytes hash to {short(computed)}")
    before = chains.before(row)
    if before is None:
        yield fault_at(row, Kind.VERSION, f"version {row.version - 1} is missing")
        chains.advance(row, None)
        return
    yield from _check_link(row, before)
    state, different = replay(before.state, row)
    if different:
        yield fault_at(row, Kind.STATE, different)
    chains.advance(row, state)


def _check_link(row: Row, before: Link) -> Iterator[Fault]:
    if row.previous_hash != before.hash:
        detail = f"follows {short(row.previous_hash)}, but version {before.version} is {short(before.hash)}"
        yield fault_at(row, Kind.PREVIOUS_HASH, detail)
    if before.recorded_at is None:
        return
    is_same_command = before.command_id == row.command_id
    if row.recorded_at < before.recorded_at or (row.recorded_at == before.recorded_at) != is_same_command:
        yield fault_at(row, Kind.RECORDED_AT, f"{row.recorded_at} after {before.recorded_at} of the version before")


def fault_at(row: Row, kind: Kind, detail: str) -> Fault:
    return Fault(kind, detail, row.position, row.aggregate_id, row.version)
