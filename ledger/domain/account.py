"""The account: its state, and how each event changes it.

`evolve` never refuses: what has happened has happened. The state after every event is stored beside the
event, so the fields here are part of the hashed history: add fields with a default, never rename one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ledger.domain.events import (
    AccountClosed,
    AccountCreated,
    AccountFrozen,
    AccountUnfrozen,
    Event,
    FundsHeld,
    HoldCaptured,
    HoldReleased,
    MoneyDeposited,
    MoneyWithdrawn,
    OverdraftLimitChanged,
    SubjectErased,
)

AGGREGATE_TYPE = "account"
ACTIVE, FROZEN, CLOSED = "active", "frozen", "closed"
ERASED = "[erased]"  # what stands wherever a text was before its subject was erased


@dataclass(frozen=True, slots=True)
class Account:
    """`holds`: the open ones, by hold_id, each `{"amount_minor": int, "expires_at": RFC 3339 or None}`.

    `erasures`: how often its subject was erased, and so the number of the key that seals its texts from now on.
    Because it is part of the state, no event after an erasure can be sealed under a key that the erasure destroyed.
    """

    owner_name: str
    currency: str
    opened_at: str  # RFC 3339; nothing is effective before it
    status: str = ACTIVE
    balance_minor: int = 0
    held_minor: int = 0
    overdraft_limit_minor: int = 0
    holds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    erasures: int = 0

    @property
    def available_minor(self) -> int:
        return self.balance_minor - self.held_minor + self.overdraft_limit_minor


def evolve(account: Account | None, event: Event, effective_at: str) -> Account:
    """Return the account after an event that took effect at `effective_at` (RFC 3339)."""
    if isinstance(event, AccountCreated):
        assert account is None, "an account is created once"
        return Account(owner_name=event.owner_name, currency=event.currency, opened_at=effective_at)
    assert account is not None, "only an account that exists has a history"
    match event:
        case MoneyDeposited(amount_minor=amount_minor):
            return _moved(account, amount_minor)
        case MoneyWithdrawn(amount_minor=amount_minor):
            return _moved(account, -amount_minor)
        case FundsHeld():
            return _with_hold(account, event)
        case HoldCaptured(hold_id=hold_id, amount_minor=amount_minor):
            return replace(_without_hold(account, hold_id), balance_minor=account.balance_minor - amount_minor)
        case HoldReleased(hold_id=hold_id):
            return _without_hold(account, hold_id)
        case AccountFrozen():
            return replace(account, status=FROZEN)
        case AccountUnfrozen():
            return replace(account, status=ACTIVE)
        case AccountClosed():
            return replace(account, status=CLOSED)
        case OverdraftLimitChanged(limit_minor=limit_minor):
            return replace(account, overdraft_limit_minor=limit_minor)
        case SubjectErased():
            return replace(account, owner_name=ERASED, erasures=account.erasures + 1)
        case _:
            raise AssertionError(f"{type(event).__name__} is not an event of an account")


def _moved(account: Account, amount_minor: int) -> Account:
    # `replace` by hand: most events are money, and it takes three times as long.
    return Account(
        account.owner_name,
        account.currency,
        account.opened_at,
        account.status,
        account.balance_minor + amount_minor,
        account.held_minor,
        account.overdraft_limit_minor,
        account.holds,
        account.erasures,
    )


def _with_hold(account: Account, event: FundsHeld) -> Account:
    hold = {"amount_minor": event.amount_minor, "expires_at": event.expires_at}
    holds = {**account.holds, event.hold_id: hold}
    return replace(account, holds=holds, held_minor=account.held_minor + event.amount_minor)


def _without_hold(account: Account, hold_id: str) -> Account:
    holds = {id_: hold for id_, hold in account.holds.items() if id_ != hold_id}
    return replace(account, holds=holds, held_minor=account.held_minor - account.holds[hold_id]["amount_minor"])


def to_state(account: Account) -> dict[str, Any]:
    """Return the account as the JSON object stored in `events.state`."""
    # By hand, as `_moved`: every event is stored with one, and from `fields` it takes three times as long.
    return {
        "owner_name": account.owner_name,
        "currency": account.currency,
        "opened_at": account.opened_at,
        "status": account.status,
        "balance_minor": account.balance_minor,
        "held_minor": account.held_minor,
        "overdraft_limit_minor": account.overdraft_limit_minor,
        "holds": account.holds,
        "erasures": account.erasures,
    }


def from_state(state: dict[str, Any]) -> Account:
    """Return the account of a stored state; one stored before a field existed gets its default."""
    return Account(**state)
