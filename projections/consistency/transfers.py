"""Transfers and holds, which are in two tables, against the steps of the fold.

A movement between accounts is compared with the window its command is in. A hold is compared once it is closed,
or at the end: until then what is expected of it is remembered, as long as it is open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
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
HOLDS = "SELECT * FROM holds WHERE hold_id = ANY(%s)"
# Asked once the transfers are known to be right: each hold is one of them.
GHOST_HOLDS = """
SELECT hold_id, account_id FROM holds
WHERE NOT EXISTS (SELECT 1 FROM transfers WHERE transfer_id = hold_id AND kind = 'hold') ORDER BY hold_id
"""
# A transfer's column and the hold's, where the names differ.
HOLD_COLUMNS = {
    "from_account_id": "account_id", "moved_minor": "captured_minor", "recorded_at": "placed_at",
    "updated_position": "position", "currency": "currency", "amount_minor": "amount_minor",
    "description": "description", "expires_at": "expires_at",
}  # fmt: skip
CHUNK = 1_000
_INSTANTS = ("expires_at", "recorded_at", "updated_at")


class Transfers:
    """Use `take` for each window in order, then `finish`."""

    def __init__(self, account_id: str | None) -> None:
        self._account_id = account_id
        self._open_holds: Spill[Row] = Spill(_encode, _decode)

    def close(self) -> None:
        self._open_holds.close()

    def take(self, cursor: Any, steps: Sequence[Step], window: tuple[int, int]) -> Iterator[Finding]:
        legs: dict[str, list[Step]] = defaultdict(list)
        expected: dict[str, Row] = {}
        begun: set[str] = set()
        for step in steps:
            data = step.sequenced.event.data
            if data.get("transfer_id"):
                legs[data["transfer_id"]].append(step)
            elif step.before is not None and step.before.holds.keys() != step.after.holds.keys():
                self._take_hold(step, expected, begun)
        expected |= {transfer_id: _movement(some) for transfer_id, some in legs.items()}
        begun |= legs.keys()
        if self._account_id is None:
            there = {row["transfer_id"] for row in rows_of(cursor, BEGUN, window)}
            yield from compare("transfers", "transfer", {id_: {} for id_ in begun}, {id_: {} for id_ in there})
            expected = {id_: row for id_, row in expected.items() if id_ in there or id_ not in begun}
        yield from _compare(cursor, expected)

    def finish(self, cursor: Any) -> Iterator[Finding]:
        """Compare the holds that are still open."""
        for chunk in self._open_holds.chunks(CHUNK):
            yield from _compare(cursor, chunk)
        if self._account_id is None:
            for row in rows_of(cursor, GHOST_HOLDS):
                yield Finding("holds", f"hold {row['hold_id']}", None, row)

    def _take_hold(self, step: Step, expected: dict[str, Row], begun: set[str]) -> None:
        assert step.before is not None, "an account that holds something was opened"
        (hold_id,) = step.before.holds.keys() ^ step.after.holds.keys()
        if self._account_id not in (None, step.sequenced.event.aggregate_id):
            return
        if hold_id in step.after.holds:
            begun.add(hold_id)
            self._open_holds.put(hold_id, _placed(step, hold_id))
            return
        # One that was placed before the fold began is compared in what its end says of it.
        expected[hold_id] = _closed(step, self._open_holds.pop(hold_id) or {})


def _compare(cursor: Any, expected: dict[str, Row]) -> Iterator[Finding]:
    found = {row["transfer_id"]: row for row in rows_of(cursor, ROWS, (list(expected),))} if expected else {}
    for row in found.values():
        # Django leaves a jsonb column as text, for its own fields to read.
        row["events"] = [event["event_id"] for event in orjson.loads(row["events"])]
    yield from compare("transfers", "transfer", expected, found)
    holds = {id_: _hold_row(row) for id_, row in expected.items() if row.get("kind", "hold") == "hold"}
    there = {row["hold_id"]: row for row in rows_of(cursor, HOLDS, (list(holds),))} if holds else {}
    yield from compare("holds", "hold", holds, there)


def _hold_row(row: Row) -> Row:
    """Return what the table of holds says of the same hold."""
    is_open = row["status"] == "held"
    same = {HOLD_COLUMNS[name]: value for name, value in row.items() if name in HOLD_COLUMNS}
    closed_at = None if is_open else row["updated_at"]
    return {**same, "status": "open" if is_open else row["status"], "closed_at": closed_at}


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
        "description": first.event.data["description"],
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
        "description": sequenced.event.data["description"],
        "status": "held",
        "expires_at": parse_instant(hold["expires_at"]) if hold["expires_at"] else None,
        "events": [str(sequenced.event.event_id)],
        "recorded_at": sequenced.event.recorded_at,
        "position": sequenced.position,
        **_updated(sequenced),
    }


def _closed(step: Step, placed: Row) -> Row:
    event = step.sequenced.event
    is_expired = event.metadata["command_type"] == "expire-hold"
    status = "captured" if event.event_type == "HoldCaptured" else "expired" if is_expired else "released"
    events = {"events": [*placed["events"], str(event.event_id)]} if placed else {}
    return {**placed, **events, "status": status, "moved_minor": -step.moved_minor, **_updated(step.sequenced)}


def _updated(last: Sequenced) -> Row:
    return {"updated_at": last.event.recorded_at, "updated_position": last.position}


def _encode(row: Row) -> object:
    return {name: format_instant(row[name]) if name in _INSTANTS and row[name] else row[name] for name in row}


def _decode(values: dict[str, Any]) -> Row:
    return {name: parse_instant(v) if name in _INSTANTS and v else v for name, v in values.items()}
