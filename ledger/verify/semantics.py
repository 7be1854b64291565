"""`--semantic`: every recorded command is decided again on the state before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from ledger.domain.aggregates import State
from ledger.domain.events import AccountCreated
from ledger.domain.instants import format_instant
from ledger.domain.judge import Recorded, at_odds, judge
from ledger.domain.original import Original
from ledger.store import originals
from ledger.store.connection import translated
from ledger.store.recorded import event_id_of
from ledger.store.tree import Connection
from ledger.verify.chains import Link
from ledger.verify.event_checks import fault_at
from ledger.verify.faults import Fault, Kind
from ledger.verify.replay import read_state
from ledger.verify.rows import Row

CREATED = AccountCreated.__name__
CREATIONS_KEPT = 4_096  # accounts that are paid into in steps; each further one is a look-up
_FIRST_EVENT = """
SELECT e.event_type, e.data ->> 'currency', e.recorded_at, j.position FROM events AS e
LEFT JOIN journal AS j ON j.aggregate_id = e.aggregate_id AND j.version = e.version
WHERE e.aggregate_id = %s AND e.version = 1
"""


class _Created(NamedTuple):
    """An account's first event. `position`: None while it waits to be ordered, or where that is a fault of its own."""

    event_type: str
    currency: str | None
    recorded_at: datetime
    position: int | None


class CommandCheck:
    """Collects the rows of one command after the other and judges each when it is whole."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._rows: list[Row] = []
        self._state: dict[str, State | None] = {}
        self._created = lru_cache(maxsize=CREATIONS_KEPT)(self._read_created)

    def check(self, row: Row, before: Link | None) -> Iterator[Fault]:
        if row.command_index == 0:
            self._rows.clear()
            self._state.clear()
        if row.hash is None or before is None:
            return  # its own fault, and the command cannot be judged
        self._rows.append(row)
        if row.aggregate_id not in self._state:
            self._state[row.aggregate_id] = read_state(row.aggregate_type, before.state)
        if row.event_id != str(event_id_of(UUID(row.command_id), row.command_index)):
            yield fault_at(row, Kind.EVENT_ID, "the event's id does not follow from its command")
        if len(self._rows) == row.command_size and (reason := self._judge()):
            yield fault_at(self._rows[0], Kind.ILLEGAL, reason)

    def _judge(self) -> str | None:
        first = self._rows[0]
        if different := at_odds([(row.recorded_at, row.effective_at, row.metadata) for row in self._rows]):
            return different
        events = [Recorded(row.aggregate_id, row.event_type, row.schema_version, row.data) for row in self._rows]
        return judge(str(first.metadata.get("command_type")), events, self._state, first.command_id,
                     format_instant(first.effective_at), format_instant(first.recorded_at),
                     self._original, self._currency)  # fmt: skip

    def _currency(self, account_id: str, assumed: str) -> str | None:
        """Return what an account was opened in before the command at hand; None when it was not.

        **Why** by time too: a command is recorded after the last event of every aggregate that it has looked at.
        """
        created, first = self._created(account_id), self._rows[0]
        if created is None or created.event_type != CREATED or created.recorded_at >= first.recorded_at:
            return None
        return created.currency if created.position is None or created.position < first.position else None

    def _read_created(self, account_id: str) -> _Created | None:
        with translated():
            row = self._conn.execute(_FIRST_EVENT, (account_id,)).fetchone()
        return _Created(*row) if row else None

    def _original(self, command_id: str) -> Original | None:
        first = event_id_of(UUID(command_id), 0)
        return originals.find(self._conn, [first]).get(first)
