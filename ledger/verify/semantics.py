"""`--semantic`: every recorded command is decided again on the state before it."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.domain.account import Account, from_state
from ledger.domain.instants import format_instant
from ledger.domain.judge import Recorded, judge
from ledger.verify.faults import Fault, Kind
from ledger.verify.rows import Row


class CommandCheck:
    """Collects the rows of one command after the other and judges each when it is whole."""

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def check(self, row: Row) -> Iterator[Fault]:
        if row.command_index == 0 or (self._rows and self._rows[0].command_id != row.command_id):
            self._rows.clear()
        self._rows.append(row)
        if row.command_index + 1 < row.command_size or len(self._rows) != row.command_size:
            return
        if reason := _judge(self._rows):
            first = self._rows[0]
            yield Fault(Kind.ILLEGAL, reason, first.position, first.aggregate_id, first.version)


def _judge(rows: list[Row]) -> str | None:
    state: dict[str, Account | None] = {}
    events = []
    for row in rows:
        if row.event is None:
            return None  # its own fault
        if row.aggregate_id not in state:
            try:
                state[row.aggregate_id] = from_state(row.previous.state) if row.previous.state else None
            except TypeError as error:
                return f"the state before it is none: {error}"
        events.append(Recorded(row.aggregate_id, row.event.event_type, row.event.data))
    event = rows[0].event
    assert event is not None, "a row without its event has returned above"
    return judge(str(event.metadata.get("command_type")), events, state, str(rows[0].command_id),
                 format_instant(event.effective_at), format_instant(event.recorded_at))  # fmt: skip
