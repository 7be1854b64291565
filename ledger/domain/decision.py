"""What deciders share: the shape of a decision, and the checks that several rules make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from ledger.domain.account import ACTIVE, CLOSED, FROZEN, Account
from ledger.domain.aggregates import State
from ledger.domain.errors import (
    AccountClosed,
    AccountFrozen,
    AccountNotFound,
    BalanceTooLarge,
    EffectiveBeforeOpening,
    InsufficientFunds,
)
from ledger.domain.events import Event
from ledger.domain.instants import format_instant, parse_instant
from ledger.domain.money import AMOUNT_MINOR_MAX, format_minor


class Decided(NamedTuple):
    """One event and the aggregate it belongs to."""

    aggregate_id: str
    event: Event


States = Mapping[str, State | None]


class Context(NamedTuple):
    """What a decision knows beside command and state: its id, and when it counts and is written down."""

    command_id: str
    effective_at: datetime
    recorded_at: datetime


def existing(state: States, account_id: str) -> Account:
    account = state[account_id]
    if not isinstance(account, Account):  # None, or an aggregate of another type
        raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
    return account


def check_not_closed(account_id: str, account: Account) -> None:
    if account.status == CLOSED:
        raise AccountClosed(f"account {account_id} is closed", account_id=account_id)


def check_open(account_id: str, account: Account, effective_at: datetime) -> None:
    """Refuse what would touch a closed or frozen account, or one that was not there yet."""
    check_all_open({account_id: account}, effective_at)


def check_all_open(accounts: Mapping[str, Account], effective_at: datetime) -> None:
    """Do the same for several: rule by rule, so that who is named does not depend on whose account comes first."""
    effective_text = format_instant(effective_at)  # as `opened_at` is written: texts of one length, in order
    for account in accounts.values():  # almost always there is nothing to say, and one look is enough
        if account.status != ACTIVE or effective_text < account.opened_at:
            break
    else:
        return
    for account_id, account in accounts.items():
        check_not_closed(account_id, account)
    for account_id, account in accounts.items():
        if account.status == FROZEN:
            raise AccountFrozen(f"account {account_id} is frozen", account_id=account_id)
    for account_id, account in accounts.items():
        if effective_text < account.opened_at:
            raise EffectiveBeforeOpening(
                f"account {account_id} was opened at {account.opened_at}",
                account_id=account_id,
                opened_at=account.opened_at,
            )


def available_minor(account: Account, now: datetime) -> int:
    """Return what may leave the account now: an expired hold no longer holds, even before it is released."""
    if not account.holds:
        return account.balance_minor + account.overdraft_limit_minor
    expired_minor = sum(hold["amount_minor"] for hold in account.holds.values() if is_expired(hold, now))
    return account.available_minor + expired_minor


def is_expired(hold: Mapping[str, object], now: datetime) -> bool:
    expires_at = hold["expires_at"]
    return isinstance(expires_at, str) and parse_instant(expires_at) <= now


def check_funds(account_id: str, account: Account, amount_minor: int, now: datetime) -> None:
    available = available_minor(account, now)
    if amount_minor > available:
        raise InsufficientFunds(
            f"account {account_id} has {format_minor(available, account.currency)} available, "
            f"{format_minor(amount_minor, account.currency)} required",
            account_id=account_id,
            balance=format_minor(account.balance_minor, account.currency),
            available=format_minor(available, account.currency),
            required=format_minor(amount_minor, account.currency),
            currency=account.currency,
        )


def check_room(account_id: str, account: Account, amount_minor: int) -> None:
    """Refuse a balance that cannot be written exactly. `amount_minor` is signed: what the balance changes by."""
    if not -AMOUNT_MINOR_MAX <= account.balance_minor + amount_minor <= AMOUNT_MINOR_MAX:
        raise BalanceTooLarge(
            f"account {account_id} may hold or owe at most {format_minor(AMOUNT_MINOR_MAX, account.currency)}",
            account_id=account_id,
        )
