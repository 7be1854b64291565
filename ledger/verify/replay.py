"""Replays one event: the state before it, evolved, is the state stored with it.

States are compared as they are stored. What deposits and withdrawals do, nine events of ten, is written here a
second time in one line, because going through the domain's objects costs as much as all other checks of a row
(ADR 7). It can only spare the domain's own answer where the two agree: whatever it does not confirm is
replayed by the domain, and a test holds that what it confirms the domain confirms too.
"""

from __future__ import annotations

from typing import Any

from ledger.domain import aggregates
from ledger.domain.account import AGGREGATE_TYPE as ACCOUNT
from ledger.domain.events import MoneyDeposited, MoneyWithdrawn, from_data, to_data
from ledger.domain.instants import format_instant
from ledger.verify.rows import Row

# (aggregate, event, schema version) → which way the money goes, and the fields of the event's data.
_MOVES = {
    (ACCOUNT, type_.__name__, type_.schema_version): (sign, to_data(type_(0, "", "", "")).keys())
    for type_, sign in ((MoneyDeposited, 1), (MoneyWithdrawn, -1))
}
# What data raises that no command of ours wrote.
_UNREADABLE = (AssertionError, AttributeError, KeyError, TypeError, ValueError)


def read_state(aggregate_type: str, state: dict[str, Any] | None) -> Any:
    """Return a stored state, or None where there is none or it cannot be read: its own row says so."""
    if state is None:
        return None
    try:
        return aggregates.BY_TYPE[aggregate_type].read(state)
    except _UNREADABLE:
        return None


def replay(before: dict[str, Any] | None, row: Row) -> str | None:
    """Return how the state after a row differs from what replaying gives, or None. `before`: as it is stored."""
    return None if _is_plain_move(before, row) else _replay(before, row)


def _is_plain_move(before: dict[str, Any] | None, row: Row) -> bool:
    """Return whether the event moved its amount and left everything else as it was."""
    move = _MOVES.get((row.aggregate_type, row.event_type, row.schema_version))
    if move is None or type(before) is not dict or type(row.data) is not dict or row.data.keys() != move[1]:
        return False
    amount_minor, balance_minor = row.data["amount_minor"], before.get("balance_minor")
    if type(amount_minor) is not int or type(balance_minor) is not int:
        return False
    return {**before, "balance_minor": balance_minor + move[0] * amount_minor} == row.state


def _replay(before: dict[str, Any] | None, row: Row) -> str | None:
    try:
        aggregate = aggregates.BY_TYPE[row.aggregate_type]
        fact = from_data(row.event_type, row.data, row.schema_version)
        state = read_state(row.aggregate_type, before)
        replayed = aggregate.evolve(state, fact, format_instant(row.effective_at))
        if aggregate.write(replayed) == row.state:
            return None
        # A field that the domain has had since a later version is not in older states.
        stored = aggregate.read(row.state)
    except _UNREADABLE as error:
        return f"cannot be replayed: {type(error).__name__}: {error}"
    return None if stored == replayed else _difference(stored, replayed)


def _difference(stored: Any, replayed: Any) -> str:
    name = next(name for name in stored.__slots__ if getattr(stored, name) != getattr(replayed, name))
    return f"{name} is stored as {getattr(stored, name)!r}, replaying gives {getattr(replayed, name)!r}"
