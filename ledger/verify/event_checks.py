"""Checks of one row on its own: the event's hash, its chain, its place in its aggregate, its replayed state."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.store.hashing import NO_HASH
from ledger.store.recorded import RecordedEvent, event_id_of, hash_of
from ledger.verify import replay
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.rows import Row


def check_event(row: Row) -> Iterator[Fault]:
    """Yield the faults of one row; none for a row that holds."""
    event = row.event
    if event is None:
        yield _fault(row, Kind.MISSING_EVENT, "the journal has its place, and the event is gone")
        return
    if event.hash != row.event_hash:
        detail = f"the event's hash is {short(event.hash)}, in the journal {short(row.event_hash)}"
        yield _fault(row, Kind.JOURNAL_DIFFERS, detail)
    yield from _check_hash(row, event)
    yield from _check_journal_columns(row, event)
    yield from _check_place(row, event)
    before = row.previous.state if row.version > 1 else None
    if before is None and row.version > 1:
        return  # said already: the version before is missing
    if different := replay.difference(before, event):
        yield _fault(row, Kind.STATE, different)


def _check_hash(row: Row, event: RecordedEvent) -> Iterator[Fault]:
    try:
        computed = hash_of(event)
    except TypeError as error:  # a float, or an integer beyond 2^53
        yield _fault(row, Kind.HASH, f"the event holds what canonical JSON cannot: {error}")
        return
    if computed != event.hash:
        detail = f"stored {short(event.hash)}, but its bytes hash to {short(computed)}"
        yield _fault(row, Kind.HASH, detail)


def _check_journal_columns(row: Row, event: RecordedEvent) -> Iterator[Fault]:
    """The journal repeats what is in the event, for its readers; and the event's id follows from its command."""
    metadata = event.metadata
    in_journal = (row.event_id, row.event_type, str(row.command_id), row.command_index, row.command_size)
    in_event = (event.event_id, event.event_type, metadata.get("command_id"), metadata.get("command_index"),
                metadata.get("command_size"))  # fmt: skip
    if in_journal != in_event:
        names = ("event_id", "event_type", "command_id", "command_index", "command_size")
        different = [f"{n} {j} / {e}" for n, j, e in zip(names, in_journal, in_event, strict=True) if j != e]
        yield _fault(row, Kind.JOURNAL_DIFFERS, f"journal / event: {', '.join(different)}")
    elif event.event_id != event_id_of(row.command_id, row.command_index):
        yield _fault(row, Kind.EVENT_ID, "the event's id does not follow from its command")


def _check_place(row: Row, event: RecordedEvent) -> Iterator[Fault]:
    previous = row.previous
    if row.version == 1:
        if event.previous_hash != NO_HASH:
            yield _fault(row, Kind.PREVIOUS_HASH, "the first event of an aggregate follows nothing")
        return
    if previous.hash is None or previous.recorded_at is None:
        yield _fault(row, Kind.VERSION, f"version {row.version - 1} is missing")
        return
    if event.previous_hash != previous.hash:
        detail = f"follows {short(event.previous_hash)}, but version {row.version - 1} is {short(previous.hash)}"
        yield _fault(row, Kind.PREVIOUS_HASH, detail)
    is_same_command = previous.command_id == event.metadata.get("command_id")
    if event.recorded_at < previous.recorded_at or (event.recorded_at == previous.recorded_at) != is_same_command:
        yield _fault(row, Kind.RECORDED_AT, f"{event.recorded_at} after {previous.recorded_at} of the version before")


def _fault(row: Row, kind: Kind, detail: str) -> Fault:
    return Fault(kind, detail, row.position, row.aggregate_id, row.version)
