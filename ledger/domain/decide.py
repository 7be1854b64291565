"""The rules: a command and the state it meets become events, or a refusal.

`decide` is pure: time, ids and the actor arrive with the command, money arrives as Decimals. Adding a
command is one dataclass in `commands`, one in `events`, one branch here and one in `evolve`. Refusals are
raised in the order of the table in docs/errors.md, and tests/unit holds that order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ledger.domain import account as accounts
from ledger.domain.account import Account
from ledger.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
from ledger.domain.currencies import decimals_of
from ledger.domain.errors import (
    AccountClosed,
    AccountExists,
    AccountFrozen,
    AccountNotFound,
    BalanceTooLarge,
    CurrencyMismatch,
    EffectiveBeforeOpening,
    EffectiveInFuture,
    InsufficientFunds,
    SameAccount,
)
from ledger.domain.events import EXTERNAL, AccountCreated, Event, MoneyDeposited, MoneyWithdrawn
from ledger.domain.instants import parse_instant
from ledger.domain.money import AMOUNT_MINOR_MAX, format_minor, to_minor


@dataclass(frozen=True, slots=True)
class Decided:
    """One event and the aggregate it belongs to."""

    aggregate_id: str
    event: Event


Accounts = Mapping[str, Account | None]


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision knows beside command and state: its id, and when it counts and is written down."""

    command_id: str
    effective_at: datetime
    recorded_at: datetime


def decide(command: Command, state: Accounts, context: Context) -> list[Decided]:
    """Return the events a command leads to, in order; the postings among them sum to zero.

    Raises: a LedgerError. Malformed, Unknown and Conflict leave no trace; Refused is recorded.
    """
    if context.effective_at > context.recorded_at:
        raise EffectiveInFuture("effective_at may not lie in the future")
    match command:
        case CreateAccount():
            return _create_account(command, state)
        case Deposit():
            return _deposit(command, state, context)
        case Withdraw():
            return _withdraw(command, state, context)
        case Transfer():
            return _transfer(command, state, context)
        case _:
            raise AssertionError(f"{type(command).__name__} has no decider")


def _create_account(command: CreateAccount, state: Accounts) -> list[Decided]:
    decimals_of(command.currency)
    amount_minor = to_minor(command.initial_balance, command.currency, zero_allowed=True)
    if state[command.account_id] is not None:
        raise AccountExists(f"account {command.account_id} exists already", account_id=command.account_id)
    decided = [Decided(command.account_id, AccountCreated(command.owner_name, command.currency))]
    if amount_minor:
        deposited = MoneyDeposited(amount_minor, command.currency, EXTERNAL + command.currency, "Initial balance")
        decided.append(Decided(command.account_id, deposited))
    return decided


def _deposit(command: Deposit, state: Accounts, context: Context) -> list[Decided]:
    account = _existing(state, command.account_id)
    amount_minor = to_minor(command.amount, account.currency)
    _check_open(command.account_id, account, context.effective_at)
    _check_room(command.account_id, account, amount_minor)
    event = MoneyDeposited(amount_minor, account.currency, EXTERNAL + account.currency, command.description)
    return [Decided(command.account_id, event)]


def _withdraw(command: Withdraw, state: Accounts, context: Context) -> list[Decided]:
    account = _existing(state, command.account_id)
    amount_minor = to_minor(command.amount, account.currency)
    _check_open(command.account_id, account, context.effective_at)
    _check_funds(command.account_id, account, amount_minor)
    event = MoneyWithdrawn(amount_minor, account.currency, EXTERNAL + account.currency, command.description)
    return [Decided(command.account_id, event)]


def _transfer(command: Transfer, state: Accounts, context: Context) -> list[Decided]:
    source_id, target_id = command.from_account_id, command.to_account_id
    if source_id == target_id:
        raise SameAccount("a transfer needs two different accounts", account_id=source_id)
    source, target = _existing(state, source_id), _existing(state, target_id)
    amount_minor = to_minor(command.amount, source.currency)
    _check_open(source_id, source, context.effective_at)
    _check_open(target_id, target, context.effective_at)
    if source.currency != target.currency:
        raise CurrencyMismatch(
            f"{source_id} holds {source.currency}, {target_id} holds {target.currency}",
            from_currency=source.currency,
            to_currency=target.currency,
        )
    _check_funds(source_id, source, amount_minor)
    _check_room(target_id, target, amount_minor)
    common = (command.description, context.command_id)
    return [
        Decided(source_id, MoneyWithdrawn(amount_minor, source.currency, target_id, *common)),
        Decided(target_id, MoneyDeposited(amount_minor, source.currency, source_id, *common)),
    ]


def _existing(state: Accounts, account_id: str) -> Account:
    account = state[account_id]
    if account is None:
        raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
    return account


def _check_open(account_id: str, account: Account, effective_at: datetime) -> None:
    if account.status == accounts.CLOSED:
        raise AccountClosed(f"account {account_id} is closed", account_id=account_id)
    if account.status == accounts.FROZEN:
        raise AccountFrozen(f"account {account_id} is frozen", account_id=account_id)
    if effective_at < parse_instant(account.opened_at):
        raise EffectiveBeforeOpening(
            f"account {account_id} was opened at {account.opened_at}",
            account_id=account_id,
            opened_at=account.opened_at,
        )


def _check_funds(account_id: str, account: Account, amount_minor: int) -> None:
    if amount_minor > account.available_minor:
        raise InsufficientFunds(
            f"account {account_id} has {format_minor(account.available_minor, account.currency)} available, "
            f"{format_minor(amount_minor, account.currency)} required",
            account_id=account_id,
            balance=format_minor(account.balance_minor, account.currency),
            available=format_minor(account.available_minor, account.currency),
            required=format_minor(amount_minor, account.currency),
            currency=account.currency,
        )


def _check_room(account_id: str, account: Account, amount_minor: int) -> None:
    if account.balance_minor + amount_minor > AMOUNT_MINOR_MAX:
        raise BalanceTooLarge(
            f"account {account_id} may hold at most {format_minor(AMOUNT_MINOR_MAX, account.currency)}",
            account_id=account_id,
        )
