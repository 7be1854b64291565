"""Transfers, holds and transfers in steps against the fold.

A movement between accounts is compared with the window its command is in. What later commands change (a hold that is
closed, a transfer in steps that ends, anything that is taken back) is compared once they have; what is expected of
it is remembered until then, or to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import orjson

from ledger.domain.events import CLEARING, EXCHANGE, EXTERNAL
from ledger.domain.instants import format_instant, parse_instant
from projections.consistency.finding import Finding, Row, compare, rows_of
from projections.consistency.fold import Step
from projections.consistency.spill import Spill
from projections.source import Sequenced

BEGUN = "SELECT transfer_id FROM transfers WHERE position BETWEEN %s AND %s"
ROWS = "SELECT * FROM transfers WHERE transfer_id = ANY(%s)"
SAGA_STATUS = {"TransferStarted": "started", "TransferCompleted": "completed", "TransferFailed": "failed"}
CHUNK = 1_000
_INSTANTS = ("expires_at", "recorded_at", "updated_at")


class Transfers:
    """Use `take` for each window of whole commands in order, then `finish`."""

    def __init__(self, account_id: str | None) -> None:
        self._account_id = account_id
        # Open holds and transfers in steps, and what the table says was changed after it was complete.
        self._open: Spill[Row] = Spill(_encode, _decode)

    def close(self) -> None:
        self._open.close()

    def take(self, cursor: Any, events: Sequence[Sequenced], steps: Sequence[Step],
             window: tuple[int, int]) -> Iterator[Finding]:  # fmt: skip
        by_position = {step.sequenced.position: step for step in steps}
        begun: set[str] = set()
        done: dict[str, Row] = {}
        for _, command in groupby(events, key=lambda sequenced: sequenced.command_id):
            self._take_command(list(command), by_position, begun, done)
        if self._account_id is None:
            there = {row["transfer_id"] for row in rows_of(cursor, BEGUN, window)}
            yield from compare("transfers", "transfer", {id_: {} for id_ in begun}, {id_: {} for id_ in there})
            done = {id_: row for id_, row in done.items() if id_ in there or id_ not in begun}
        yield from self._compare(cursor, done, may_change=True)

    def finish(self, cursor: Any) -> Iterator[Finding]:
        """Compare what is still open, and what was changed after it was complete."""
        for chunk in self._open.chunks(CHUNK):
            yield from self._compare(cursor, chunk, may_change=False)

    def _take_command(self, command: list[Sequenced], steps: dict[int, Step], begun: set[str],
                      done: dict[str, Row]) -> None:  # fmt: skip
        of_saga = [s for s in command if s.event.event_type in SAGA_STATUS]
        taken_back = [s for s in command if s.event.data.get("reverses")]
        own = [steps[s.position] for s in command if s.position in steps]
        if of_saga:
            self._take_saga(command, of_saga[0], own, begun, done)
        elif taken_back:
            if transfer_id := taken_back[-1].event.data.get("transfer_id"):
                self._change(transfer_id, command, _left_by(command), 0, done)
        elif transfer_id := own[0].sequenced.event.data.get("transfer_id") if own else None:
            begun.add(transfer_id)
            done[transfer_id] = _movement(own)
        for step in own if not of_saga else ():
            if step.before is not None and step.before.holds.keys() != step.after.holds.keys():
                self._take_hold(step, begun, done)

    def _take_hold(self, step: Step, begun: set[str], done: dict[str, Row]) -> None:
        assert step.before is not None, "an account that holds something was opened"
        (hold_id,) = step.before.holds.keys() ^ step.after.holds.keys()
        if hold_id in step.after.holds:
            begun.add(hold_id)
            self._open.put(hold_id, _placed(step, hold_id))
        else:
            event = step.sequenced.event
            is_expired = event.metadata["command_type"] in ("expire-hold", "close-account")
            status = "captured" if event.event_type == "HoldCaptured" else "expired" if is_expired else "released"
            self._change(hold_id, [step.sequenced], status, -step.moved_minor, done)

    def _take_saga(self, command: list[Sequenced], first: Sequenced, own: list[Step], begun: set[str],
                   done: dict[str, Row]) -> None:  # fmt: skip
        transfer_id, status = first.event.data["transfer_id"], SAGA_STATUS[first.event.event_type]
        if status == "started":
            begun.add(transfer_id)
            self._open.put(transfer_id, _started(command, first, own[0]))
        else:
            moved_minor = -sum(step.moved_minor for step in own if step.moved_minor < 0)
            self._change(transfer_id, command, status, moved_minor, done)

    def _change(self, transfer_id: str, command: list[Sequenced], status: str, moved_minor: int,
                done: dict[str, Row]) -> None:  # fmt: skip
        """Let a command change a row. One that began before the fold did is compared in what the command says of it."""
        row = done.pop(transfer_id, None) or self._open.pop(transfer_id) or {}
        changed: dict[str, Any] = {**row, "status": status, **_updated(command[-1])}
        if row.get("events"):
            changed["events"] = [*row["events"], *_ids(command)]
        if moved_minor:
            changed["moved_minor"] = row.get("moved_minor", 0) + moved_minor
        done[transfer_id] = changed

    def _compare(self, cursor: Any, expected: dict[str, Row], *, may_change: bool) -> Iterator[Finding]:
        found = {row["transfer_id"]: row for row in rows_of(cursor, ROWS, (list(expected),))} if expected else {}
        for transfer_id, row in found.items():
            # Django leaves a jsonb column as text, for its own fields to read.
            row["events"] = [event["event_id"] for event in orjson.loads(row["events"])]
            wanted = expected[transfer_id]
            if may_change and row["updated_position"] > wanted["updated_position"]:
                # Somebody took it back later: it is compared when they did, or at the end, when nobody did.
                self._open.put(transfer_id, wanted)
                expected = {id_: other for id_, other in expected.items() if id_ != transfer_id}
        yield from compare("transfers", "transfer", expected, {id_: found[id_] for id_ in expected if id_ in found})


def _movement(steps: list[Step]) -> Row:
    """Return the row of a movement: those that gave come before those that got."""
    given = [step for step in steps if step.moved_minor < 0]
    got = [step for step in steps if step.moved_minor > 0]
    first, last = given[0].sequenced, steps[-1].sequenced
    currency, counter_account = given[0].after.currency, first.event.data["counter_account"]
    amount_minor = -sum(step.moved_minor for step in given if step.after.currency == currency)
    kinds = {CLEARING: "multi_transfer", EXCHANGE: "exchange"}
    return {
        "kind": next((kind for prefix, kind in kinds.items() if counter_account.startswith(prefix)), "transfer"),
        "from_account_id": first.event.aggregate_id,
        "to_account_id": got[0].sequenced.event.aggregate_id,
        "amount_minor": amount_minor,
        "moved_minor": amount_minor,
        "currency": currency,
        "description": given[0].description,
        "status": "completed",
        "expires_at": None,
        "events": [str(step.sequenced.event.event_id) for step in steps],
        "recorded_at": first.event.recorded_at,
        "position": last.position,
        **_updated(last),
    }


def _placed(step: Step, hold_id: str) -> Row:
    sequenced, hold = step.sequenced, step.after.holds[hold_id]
    return {
        "kind": "hold",
        "from_account_id": sequenced.event.aggregate_id,
        "to_account_id": EXTERNAL + step.after.currency,
        "amount_minor": hold["amount_minor"],
        "moved_minor": 0,
        "currency": step.after.currency,
        "description": step.description,
        "status": "held",
        "expires_at": parse_instant(hold["expires_at"]) if hold["expires_at"] else None,
        "events": [str(sequenced.event.event_id)],
        "recorded_at": sequenced.event.recorded_at,
        "position": sequenced.position,
        **_updated(sequenced),
    }


def _started(command: list[Sequenced], first: Sequenced, step: Step) -> Row:
    assert step.before is not None, "money is reserved on an account that was opened"
    data = first.event.data
    return {
        "kind": "saga",
        "from_account_id": step.sequenced.event.aggregate_id,
        "to_account_id": data["to_account_id"],
        "amount_minor": step.after.held_minor - step.before.held_minor,
        "moved_minor": 0,
        "currency": step.after.currency,
        "description": step.description,
        "status": "started",
        "expires_at": None,
        "events": _ids(command),
        "recorded_at": first.event.recorded_at,
        "position": first.position,
        **_updated(command[-1]),
    }


def _left_by(command: list[Sequenced]) -> str:
    """Return how a reversal leaves what it takes back: its own state says how much of it is left."""
    state = command[-1].event.state
    return "reversed" if state["reversed_minor"] == state["original_minor"] else "completed"


def _ids(command: list[Sequenced]) -> list[str]:
    return [str(sequenced.event.event_id) for sequenced in command]


def _updated(last: Sequenced) -> Row:
    return {"updated_at": last.event.recorded_at, "updated_position": last.position}


def _encode(row: Row) -> object:
    return {name: format_instant(row[name]) if name in _INSTANTS and row[name] else row[name] for name in row}


def _decode(values: dict[str, Any]) -> Row:
    return {name: parse_instant(v) if name in _INSTANTS and v else v for name, v in values.items()}
