"""Rules for money that comes in and goes out: create, deposit, withdraw."""

from __future__ import annotations

from ledger.domain.commands import CreateAccount, Deposit, Withdraw
from ledger.domain.currencies import decimals_of
from ledger.domain.decision import Context, Decided, States, check_funds, check_open, check_room, existing
from ledger.domain.errors import AccountExists, InvalidAccountId
from ledger.domain.events import EXTERNAL, RESERVED_PREFIXES, AccountCreated, MoneyDeposited, MoneyWithdrawn
from ledger.domain.money import to_minor

INITIAL_BALANCE = "Initial balance"  # the ledger's own words, which nobody has to be forgotten for


def create_account(command: CreateAccount, state: States, context: Context) -> list[Decided]:
    if command.account_id.startswith(RESERVED_PREFIXES):
        raise InvalidAccountId(f"no account is called {command.account_id}", field="account_id")
    decimals_of(command.currency)
    amount_minor = to_minor(command.initial_balance, command.currency, zero_allowed=True)
    if state[command.account_id] is not None:
        raise AccountExists(f"account {command.account_id} exists already", account_id=command.account_id)
    decided = [Decided(command.account_id, AccountCreated(command.owner_name, command.currency))]
    if amount_minor:
        deposited = MoneyDeposited(amount_minor, command.currency, EXTERNAL + command.currency, INITIAL_BALANCE)
        decided.append(Decided(command.account_id, deposited))
    return decided


def deposit(command: Deposit, state: States, context: Context) -> list[Decided]:
    account = existing(state, command.account_id)
    amount_minor = to_minor(command.amount, account.currency)
    check_open(command.account_id, account, context.effective_at)
    check_room(command.account_id, account, amount_minor)
    event = MoneyDeposited(amount_minor, account.currency, EXTERNAL + account.currency, command.description)
    return [Decided(command.account_id, event)]


def withdraw(command: Withdraw, state: States, context: Context) -> list[Decided]:
    account = existing(state, command.account_id)
    amount_minor = to_minor(command.amount, account.currency)
    check_open(command.account_id, account, context.effective_at)
    check_funds(command.account_id, account, amount_minor, context.recorded_at)
    event = MoneyWithdrawn(amount_minor, account.currency, EXTERNAL + account.currency, command.description)
    return [Decided(command.account_id, event)]
