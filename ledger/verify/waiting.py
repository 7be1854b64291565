"""Checks what waits in the outbox as if the journal had it already: a relay orders and signs whatever is there.

So whoever slips in an event and its outbox row has to get right all that a command leaves: hash, chain, state, books,
ids, times, the key of its request. Who gets all of it right, and has the rights to write it, has written a command:
nothing stored tells that from one that came through the engine (docs/proofs.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from ledger.store.connection import translated
from ledger.store.hashing import NO_HASH, extend_running_hash
from ledger.store.recorded import event_id_of
from ledger.store.tree import Connection
from ledger.verify import rows
from ledger.verify.chains import Chains
from ledger.verify.event_checks import check_event, fault_at, unreadable
from ledger.verify.faults import NONSENSE, Fault, Kind
from ledger.verify.journal_checks import JournalCheck
from ledger.verify.request_keys import check_keys
from ledger.verify.rows import EVENT_COLUMNS, Row, Seed
from ledger.verify.semantics import CommandCheck
from ledger.verify.unreadable import read_json

PAGE = 500  # commands held at once, most of them of one event or two
# Beyond every position that a relay may give meanwhile, also to what these follow.
BEYOND = 1 << 62
VERSION_MAX = (1 << 63) - 1
NO_COMMAND = UUID(int=0)
_PAGE = """
SELECT command_id, recorded_at, events::text FROM outbox WHERE command_id > %s ORDER BY command_id LIMIT %s
"""
_NO_COMMANDS = "SELECT count(*) FROM outbox WHERE command_id IS NULL OR command_id = %s"
_EVENTS = f"""
SELECT j.position, clock_timestamp(), wanted.aggregate_id, wanted.version, {EVENT_COLUMNS}
FROM unnest(%b::text[], %b::bigint[]) AS wanted (aggregate_id, version)
LEFT JOIN events AS e ON e.aggregate_id = wanted.aggregate_id AND e.version = wanted.version
LEFT JOIN journal AS j ON j.aggregate_id = wanted.aggregate_id AND j.version = wanted.version
"""  # noqa: S608 (made of constants)
_STILL_WAITING = "SELECT command_id FROM outbox WHERE command_id = ANY(%b)"


class _Waiting(NamedTuple):
    """A command in the outbox. `references`: (event_id, aggregate_id, version, event_type, hash) of its events."""

    command_id: UUID
    recorded_at: datetime
    references: list[tuple[str, str, int, str, bytes]]


def check_waiting(conn: Connection, *, semantic: bool, account_id: str | None = None) -> Iterator[Fault]:
    """Yield the faults of the commands that wait to be ordered; of one aggregate's events, when one is named."""
    with translated():
        ((nameless,),) = conn.execute(_NO_COMMANDS, (NO_COMMAND,)).fetchall()
    if nameless and account_id is None:
        yield Fault(Kind.OUTBOX, f"{nameless} rows of the outbox are of no command")
    check, last = _WaitingCheck(conn, semantic), NO_COMMAND
    while True:
        with translated():
            found = conn.execute(_PAGE, (last, PAGE)).fetchall()
        commands = []
        for command_id, recorded_at, references in found:
            try:
                commands.append(_Waiting(command_id, recorded_at, _read(references)))
            except NONSENSE as error:
                detail = f"what waits as command {command_id} cannot be read: {type(error).__name__}: {error}"
                if account_id is None:
                    yield Fault(Kind.OUTBOX, detail)
        for fault in check.check(commands):
            if account_id in (None, fault.aggregate_id):
                yield fault
        if len(found) < PAGE:
            return
        last = found[-1][0]


def _read(references: str) -> list[tuple[str, str, int, str, bytes]]:
    read = [(*map(str, (id_, aggregate, type_)), version, bytes.fromhex(hash_))
            for id_, aggregate, version, type_, hash_ in read_json(references)]  # fmt: skip
    if not read:
        raise ValueError("it names no event")
    for _, _, _, version, _ in read:
        if type(version) is not int or not 0 < version <= VERSION_MAX:
            raise ValueError(f"{version!r} is no version")
    return [(id_, aggregate, version, type_, hash_) for id_, aggregate, type_, version, hash_ in read]


class _WaitingCheck:
    """Takes the commands as the relay would: one behind the other, from a position that none has yet."""

    def __init__(self, conn: Connection, semantic: bool) -> None:
        self._conn, self._chains = conn, Chains(conn)
        self._journal = JournalCheck(Seed(BEYOND))
        self._command = CommandCheck(conn) if semantic else None
        self._last: tuple[int, bytes] = (BEYOND, NO_HASH)

    def check(self, commands: Sequence[_Waiting]) -> Iterator[Fault]:
        keys = [(aggregate, version) for c in commands for _, aggregate, version, _, _ in c.references]
        if not keys:
            return
        with translated():
            found = self._conn.execute(_EVENTS, [list(column) for column in zip(*keys, strict=True)], binary=True)
            stored = {(row[2], row[3]): row for row in found.fetchall()}
        now = max(row[1] for row in stored.values())  # each row has its own, in no order
        yield from self._check_places(commands, {key: row[0] for key, row in stored.items()})
        would_be = [rows.mended(row) for command in commands for row in self._would_be(command, stored, now)]
        self._chains.prepare(would_be)
        recorded_at = {str(command.command_id): command.recorded_at for command in commands}
        for row in would_be:
            for fault in self._faults_of(row, recorded_at[row.command_id]):
                yield replace(fault, position=None, detail=f"as it waits in the outbox: {fault.detail}")
        for fault in check_keys(self._conn, would_be):
            yield replace(fault, position=None)

    def _check_places(
        self, commands: Sequence[_Waiting], positions: dict[tuple[str, int], int | None]
    ) -> Iterator[Fault]:
        """A command that waits is journaled nowhere. Asked again: a relay may have moved it since it was read."""
        placed = [
            (command.command_id, positions[aggregate, version], aggregate, version)
            for command in commands
            for _, aggregate, version, _, _ in command.references
            if positions[aggregate, version] is not None
        ]
        if not placed:
            return
        with translated():
            asked = self._conn.execute(_STILL_WAITING, ([command_id for command_id, *_ in placed],), binary=True)
            still_there = {command_id for (command_id,) in asked}
        for command_id, position, aggregate, version in placed:
            if command_id in still_there:
                yield Fault(Kind.OUTBOX, "it waits in the outbox, and has its position", position, aggregate, version)

    def _would_be(self, command: _Waiting, stored: dict[tuple[str, int], Any], now: datetime) -> Iterator[Row]:
        """Yield what the relay would write for a command."""
        position, running_hash = self._last
        for index, (event_id, aggregate, version, event_type, event_hash) in enumerate(command.references):
            event = stored[aggregate, version][4:]
            position, running_hash = position + 1, extend_running_hash(running_hash, event_hash)
            agrees = (event[0], event[2]) == (event_id, event_type)
            yield rows.read(position, str(command.command_id), index, len(command.references), event_hash, running_hash,
                            False, now, aggregate, version, agrees, *event)  # fmt: skip
        self._last = position, running_hash

    def _faults_of(self, row: Row, waits_since: datetime) -> Iterator[Fault]:
        try:
            before = self._chains.before(row)
            yield from self._journal.check(row, before)
            if self._command:
                yield from self._command.check(row, before)
            elif row.hash is not None and row.event_id != str(event_id_of(UUID(row.command_id), row.command_index)):
                yield fault_at(row, Kind.EVENT_ID, "the event's id does not follow from its command")
            yield from check_event(row, before, self._chains)
        except NONSENSE as error:
            yield unreadable(row, error)
        if row.hash is not None and row.recorded_at != waits_since:
            yield fault_at(
                row, Kind.OUTBOX, f"it is to be ordered as of {waits_since}, and was recorded at {row.recorded_at}"
            )
