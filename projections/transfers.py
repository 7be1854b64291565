"""Transfers: money that goes from one place to another, as one row, with where it stands.

A movement between accounts is complete when it is written: its events are of one command, so they come in one
batch. A hold is money on its way out: placed by one command, and captured or released by a later one, which
changes the row; so is a transfer in steps, until it has completed or failed. A reversal is noted on the row of what
it takes back. What changes rows is folded per row first, so that a batch stays two statements.

A multi-transfer shows its first source, its first target and what all sources gave in the first's currency;
an exchange shows what was given. The whole of it is in `events`, and in `transactions` under the same id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from ledger.domain.commands import CloseAccount, ExpireHold, type_of
from ledger.domain.events import CLEARING, EXCHANGE, EXTERNAL
from ledger.domain.events import TRANSFER as SAGA_PREFIX
from ledger.domain.instants import parse_instant
from ledger.store.journal import Sequenced
from projections.arrays import arrays
from projections.erasures import ERASED, lines_are_there
from projections.projection import Batch, Cursor, Projection

TRANSFER, MULTI_TRANSFER, EXCHANGED, SAGA, HOLD = "transfer", "multi_transfer", "exchange", "saga", "hold"
STARTED, COMPLETED, FAILED, REVERSED = "started", "completed", "failed", "reversed"
HELD, CAPTURED, RELEASED, EXPIRED = "held", "captured", "released", "expired"
KINDS = (TRANSFER, MULTI_TRANSFER, EXCHANGED, SAGA, HOLD)
STATUSES = (STARTED, COMPLETED, FAILED, REVERSED, HELD, CAPTURED, RELEASED, EXPIRED)
SAGA_COMMANDS = ("start-transfer", "settle-transfer", "fail-transfer")
# Of what these commands release, the deadline had passed.
BY_DEADLINE = (type_of[ExpireHold], type_of[CloseAccount])
# What an event of a transfer in steps leaves it as; those of one command come together.
IN_STEPS = {
    "TransferStarted": STARTED, "FundsHeld": STARTED, "TransferFailed": FAILED, "HoldReleased": FAILED,
    "TransferCompleted": COMPLETED, "HoldCaptured": COMPLETED, "MoneyDeposited": COMPLETED,
}  # fmt: skip

INSERT = """
INSERT INTO transfers (transfer_id, kind, from_account_id, to_account_id, amount_minor, moved_minor, currency,
                       description, status, expires_at, events, recorded_at, position, updated_at, updated_position)
SELECT transfer_id, kind, from_account_id, to_account_id, amount_minor, moved_minor, currency, description, status,
       expires_at, events::jsonb, recorded_at, position, updated_at, updated_position
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[],
            %b::text[], %b::timestamptz[], %b::text[], %b::timestamptz[], %b::bigint[], %b::timestamptz[], %b::bigint[])
  AS new (transfer_id, kind, from_account_id, to_account_id, amount_minor, moved_minor, currency, description, status,
          expires_at, events, recorded_at, position, updated_at, updated_position)
"""
# A change of a row that is not there would be skipped silently: the cast fails instead, and the event parks.
CHANGE = """
WITH changed AS (
UPDATE transfers SET status = change.status, moved_minor = transfers.moved_minor + change.moved_minor,
    events = transfers.events || change.events::jsonb, updated_at = change.updated_at,
    updated_position = change.updated_position
FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::bigint[])
  AS change (transfer_id, status, moved_minor, events, updated_at, updated_position)
WHERE transfers.transfer_id = change.transfer_id
RETURNING 1
) SELECT CASE WHEN count(*) = %s THEN 0 ELSE ('only ' || count(*) || ' of them are there')::int END FROM changed
"""
# By the lines, because the account may have been any of the legs of a multi-transfer; holds, and transfers in steps,
# may have none yet.
FORGET = f"""
UPDATE transfers SET description = '{ERASED}'
WHERE description NOT IN ('', '{ERASED}') AND transfer_id IN (
    SELECT transfer_id FROM transactions
    WHERE account_id = %(account_id)s AND position < %(position)s AND transfer_id IS NOT NULL
    UNION ALL
    SELECT transfer_id FROM transfers WHERE kind IN ('{HOLD}', '{SAGA}') AND position < %(position)s
      AND (from_account_id = %(account_id)s OR to_account_id = %(account_id)s)
)
"""  # noqa: S608 (made of constants)


@dataclass(slots=True)
class Change:
    """What later commands did to one row: its status after them, and what they moved."""

    transfer_id: str
    status: str = ""
    moved_minor: int = 0
    events: list[dict[str, str]] = field(default_factory=list)
    last: Sequenced | None = None

    def take(self, sequenced: Sequenced, status: str, moved_minor: int) -> None:
        self.status, self.last = status, sequenced
        self.moved_minor += moved_minor
        self.events.append(_named(sequenced))

    def row(self) -> tuple[object, ...]:
        assert self.last is not None, "a change has an event"
        at, position = self.last.event.recorded_at, self.last.position
        return self.transfer_id, self.status, self.moved_minor, _json(self.events), at, position


@dataclass(slots=True)
class Opened:
    """A row that a batch begins, as far as the batch takes it."""

    kind: str
    from_account_id: str
    to_account_id: str
    amount_minor: int
    currency: str
    description: str
    expires_at: datetime | None
    first: Sequenced
    position: int
    change: Change

    def row(self) -> tuple[object, ...]:
        transfer_id, status, moved_minor, events, updated_at, updated_position = self.change.row()
        return (
            transfer_id, self.kind, self.from_account_id, self.to_account_id, self.amount_minor, moved_minor,
            self.currency, self.description, status, self.expires_at, events, self.first.event.recorded_at,
            self.position, updated_at, updated_position,
        )  # fmt: skip


def fold(events: Iterable[Sequenced]) -> tuple[dict[str, Opened], dict[str, Change]]:
    """Return the rows that whole commands begin, and the changes to those of earlier ones, by transfer_id."""
    opened: dict[str, Opened] = {}
    changes: dict[str, Change] = {}

    def change_of(transfer_id: str) -> Change:
        if transfer_id in opened:
            return opened[transfer_id].change
        return changes.setdefault(transfer_id, Change(transfer_id))

    reversed_id = None  # of the transfer that the command at hand takes back
    for sequenced in events:
        event_type, data = sequenced.event.event_type, sequenced.event.data
        transfer_id, saga_id = data.get("transfer_id"), _saga_id(sequenced)
        if event_type == "TransferStarted":
            opened[saga_id] = _saga(sequenced)
        elif saga_id:
            moved_minor = data["amount_minor"] if event_type == "HoldCaptured" else 0
            change_of(saga_id).take(sequenced, IN_STEPS[event_type], moved_minor)
        elif data.get("reverses"):
            if reversed_id := transfer_id:
                change_of(transfer_id).take(sequenced, COMPLETED, 0)
        elif event_type == "CommandReversed":
            if reversed_id:
                change_of(reversed_id).take(sequenced, _left_by(sequenced), 0)
        elif event_type in ("MoneyWithdrawn", "MoneyDeposited") and transfer_id:
            _take_leg(opened, sequenced, transfer_id)
        elif event_type == "FundsHeld":
            opened[data["hold_id"]] = _hold(sequenced)
        elif event_type in ("HoldCaptured", "HoldReleased"):
            is_captured = event_type == "HoldCaptured"
            status = CAPTURED if is_captured else EXPIRED if _is_by_deadline(sequenced) else RELEASED
            change_of(data["hold_id"]).take(sequenced, status, data["amount_minor"] if is_captured else 0)
    return opened, changes


def apply(cursor: Cursor, batch: Batch) -> None:
    opened, changes = fold(batch.events)
    if opened:
        cursor.execute(INSERT, arrays(INSERT, (row.row() for row in opened.values())))
    if changes:
        cursor.execute(CHANGE, [*arrays(CHANGE, (change.row() for change in changes.values())), len(changes)])
    for erasure in batch.erasures:
        lines_are_there(cursor, PROJECTION.name, erasure)
        cursor.execute(FORGET, erasure.bounds)


def _take_leg(opened: dict[str, Opened], sequenced: Sequenced, transfer_id: str) -> None:
    """Take one side of a movement: those that give come before those that get."""
    event, data = sequenced.event, sequenced.event.data
    is_given = event.event_type == "MoneyWithdrawn"
    row = opened.get(transfer_id)
    if row is None:
        assert is_given, "somebody gives before somebody gets"
        row = opened[transfer_id] = Opened(
            _kind_of(data["counter_account"]), event.aggregate_id, "", 0, data["currency"], data["description"],
            None, sequenced, sequenced.position, Change(transfer_id),
        )  # fmt: skip
    moved_minor = data["amount_minor"] if is_given and data["currency"] == row.currency else 0
    row.amount_minor += moved_minor
    row.to_account_id = row.to_account_id or ("" if is_given else event.aggregate_id)
    row.change.take(sequenced, COMPLETED, moved_minor)
    row.position = sequenced.position


def _kind_of(counter_account: str) -> str:
    if counter_account.startswith(CLEARING):
        return MULTI_TRANSFER
    return EXCHANGED if counter_account.startswith(EXCHANGE) else TRANSFER


def _hold(sequenced: Sequenced) -> Opened:
    event, data = sequenced.event, sequenced.event.data
    expires_at = parse_instant(data["expires_at"]) if data["expires_at"] else None
    change = Change(data["hold_id"])
    change.take(sequenced, HELD, 0)
    return Opened(
        HOLD, event.aggregate_id, EXTERNAL + data["currency"], data["amount_minor"], data["currency"],
        data["description"], expires_at, sequenced, sequenced.position, change,
    )  # fmt: skip


def _is_by_deadline(sequenced: Sequenced) -> bool:
    """Tell by the command, not by the reason: that is a text which anybody may write."""
    return sequenced.event.metadata["command_type"] in BY_DEADLINE


def _saga_id(sequenced: Sequenced) -> str:
    """Return the id of the transfer in steps that an event is of, or nothing."""
    event = sequenced.event
    if event.metadata.get("command_type") not in SAGA_COMMANDS:
        return ""
    saga_id: str = event.data.get("transfer_id") or event.data["hold_id"].removeprefix(SAGA_PREFIX)
    return saga_id


def _saga(sequenced: Sequenced) -> Opened:
    data = sequenced.event.data
    change = Change(data["transfer_id"])
    change.take(sequenced, STARTED, 0)
    return Opened(
        SAGA, data["from_account_id"], data["to_account_id"], data["amount_minor"], data["currency"],
        data["description"], None, sequenced, sequenced.position, change,
    )  # fmt: skip


def _left_by(reversal: Sequenced) -> str:
    """Return how a reversal leaves what it takes back: its own state says how much of it is left."""
    state = reversal.event.state
    return REVERSED if state["reversed_minor"] == state["original_minor"] else COMPLETED


def _named(sequenced: Sequenced) -> dict[str, str]:
    event = sequenced.event
    named = {"event_id": str(event.event_id), "type": event.event_type}
    return {**named, "code": event.data["code"]} if event.event_type == "TransferFailed" else named


def _json(events: list[dict[str, Any]]) -> str:
    return orjson.dumps(events).decode()


PROJECTION = Projection(name="transfers", version=2, tables=("transfers",), apply=apply)
