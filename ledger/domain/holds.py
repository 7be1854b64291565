"""Rules for holds: money reserved, later captured or released, or set free when its deadline passes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ledger.domain.account import Account
from ledger.domain.commands import CaptureHold, ExpireHold, PlaceHold, ReleaseHold
from ledger.domain.decision import (
    Context,
    Decided,
    States,
    check_funds,
    check_not_closed,
    check_open,
    existing,
    is_expired,
)
from ledger.domain.errors import (
    ExpiryInPast,
    HoldExceeded,
    HoldExpired,
    HoldNotExpired,
    HoldNotFound,
    HoldOfTransfer,
    TooManyHolds,
)
from ledger.domain.events import EXTERNAL, TRANSFER, FundsHeld, HoldCaptured, HoldReleased
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor, to_minor

# Open holds are part of every event's state: this many are some 10 KB, and more is no account of a person.
OPEN_HOLDS_MAX = 100
EXPIRED = "expired"


def place(command: PlaceHold, state: States, context: Context) -> list[Decided]:
    account = existing(state, command.account_id)
    amount_minor = to_minor(command.amount, account.currency)
    expires_at = None if command.expires_at is None else format_instant(command.expires_at)
    if command.expires_at is not None and command.expires_at <= context.recorded_at:
        raise ExpiryInPast("a hold expires in the future", expires_at=expires_at)
    check_open(command.account_id, account, context.effective_at)
    check_number_of_holds(command.account_id, account)
    check_funds(command.account_id, account, amount_minor, context.recorded_at)
    held = FundsHeld(context.command_id, amount_minor, account.currency, command.description, expires_at)
    return [Decided(command.account_id, held)]


def capture(command: CaptureHold, state: States, context: Context) -> list[Decided]:
    account, hold = _open_hold(command.account_id, command.hold_id, state)
    held_minor: int = hold["amount_minor"]
    amount_minor = held_minor if command.amount is None else to_minor(command.amount, account.currency)
    check_open(command.account_id, account, context.effective_at)
    _check_own(command.hold_id)
    if is_expired(hold, context.recorded_at):
        raise HoldExpired(f"hold {command.hold_id} expired at {hold['expires_at']}", hold_id=command.hold_id)
    if amount_minor > held_minor:
        raise HoldExceeded(
            f"hold {command.hold_id} is of {format_minor(held_minor, account.currency)}",
            hold_id=command.hold_id,
            held=format_minor(held_minor, account.currency),
            required=format_minor(amount_minor, account.currency),
        )
    released_minor = held_minor - amount_minor
    counter_account = EXTERNAL + account.currency
    captured = HoldCaptured(
        command.hold_id, amount_minor, released_minor, account.currency, counter_account, command.description
    )
    return [Decided(command.account_id, captured)]


def release(command: ReleaseHold, state: States, context: Context) -> list[Decided]:
    """Releasing is allowed on a frozen account too: it moves no money."""
    account, hold = _open_hold(command.account_id, command.hold_id, state)
    check_not_closed(command.account_id, account)
    _check_own(command.hold_id)
    return [Decided(command.account_id, HoldReleased(command.hold_id, hold["amount_minor"], command.reason))]


def expire(command: ExpireHold, state: States, context: Context) -> list[Decided]:
    _, hold = _open_hold(command.account_id, command.hold_id, state)
    if not is_expired(hold, context.recorded_at):
        raise HoldNotExpired(f"hold {command.hold_id} expires at {hold['expires_at']}", hold_id=command.hold_id)
    return [Decided(command.account_id, HoldReleased(command.hold_id, hold["amount_minor"], EXPIRED))]


def expired(account: Account, now: datetime) -> list[HoldReleased]:
    """Return the release of every hold whose deadline has passed.

    **Why** by id: the order in which a state lists its holds is not the same in memory and in the store.
    """
    held = sorted(account.holds.items())
    return [HoldReleased(id_, hold["amount_minor"], EXPIRED) for id_, hold in held if is_expired(hold, now)]


def check_number_of_holds(account_id: str, account: Account) -> None:
    if len(account.holds) >= OPEN_HOLDS_MAX:
        raise TooManyHolds(f"account {account_id} has {OPEN_HOLDS_MAX} open holds", holds_max=OPEN_HOLDS_MAX)


def _check_own(hold_id: str) -> None:
    if hold_id.startswith(TRANSFER):
        raise HoldOfTransfer(f"hold {hold_id} is that of a transfer, which ends it", hold_id=hold_id)


def _open_hold(account_id: str, hold_id: str, state: States) -> tuple[Account, Mapping[str, Any]]:
    account = existing(state, account_id)
    hold = account.holds.get(hold_id)
    if hold is None:
        raise HoldNotFound(f"account {account_id} has no open hold {hold_id}", account_id=account_id, hold_id=hold_id)
    return account, hold
