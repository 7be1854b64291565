"""Rules for the standing of an account: freeze, unfreeze, close, overdraft limit, erasure of its subject."""

from __future__ import annotations

from ledger.domain import account as accounts
from ledger.domain import holds
from ledger.domain.account import Account
from ledger.domain.commands import CloseAccount, EraseSubject, FreezeAccount, SetOverdraftLimit, UnfreezeAccount
from ledger.domain.decision import Context, Decided, States, available_minor, check_not_closed, check_open, existing
from ledger.domain.errors import AccountNotEmpty, AccountNotFrozen, OverdraftInUse
from ledger.domain.events import AccountClosed, AccountFrozen, AccountUnfrozen, OverdraftLimitChanged, SubjectErased
from ledger.domain.money import format_minor, to_minor


def freeze(command: FreezeAccount, state: States, context: Context) -> list[Decided]:
    account = existing(state, command.account_id)
    check_open(command.account_id, account, context.effective_at)
    return [Decided(command.account_id, AccountFrozen(command.reason))]


def unfreeze(command: UnfreezeAccount, state: States, context: Context) -> list[Decided]:
    account = existing(state, command.account_id)
    check_not_closed(command.account_id, account)
    if account.status != accounts.FROZEN:
        raise AccountNotFrozen(f"account {command.account_id} is not frozen", account_id=command.account_id)
    return [Decided(command.account_id, AccountUnfrozen(command.reason))]


def close(command: CloseAccount, state: States, context: Context) -> list[Decided]:
    """Holds whose deadline has passed are released by the way: no worker has to come first."""
    account = existing(state, command.account_id)
    check_open(command.account_id, account, context.effective_at)
    expired = holds.expired(account, context.recorded_at)
    if account.balance_minor or len(expired) < len(account.holds):
        held_minor = account.held_minor - sum(release.amount_minor for release in expired)
        raise AccountNotEmpty(
            f"account {command.account_id} still holds {_format(account.balance_minor, account)} "
            f"and has {len(account.holds) - len(expired)} open holds",
            account_id=command.account_id,
            balance=_format(account.balance_minor, account),
            held=_format(held_minor, account),
        )
    released = [Decided(command.account_id, release) for release in expired]
    return [*released, Decided(command.account_id, AccountClosed(command.reason))]


def set_overdraft_limit(command: SetOverdraftLimit, state: States, context: Context) -> list[Decided]:
    account = existing(state, command.account_id)
    limit_minor = to_minor(command.limit, account.currency, zero_allowed=True)
    check_open(command.account_id, account, context.effective_at)
    needed_minor = account.overdraft_limit_minor - available_minor(account, context.recorded_at)
    if limit_minor < needed_minor:
        raise OverdraftInUse(
            f"account {command.account_id} uses {_format(needed_minor, account)} of its overdraft",
            account_id=command.account_id,
            in_use=_format(needed_minor, account),
            limit=_format(limit_minor, account),
        )
    return [Decided(command.account_id, OverdraftLimitChanged(limit_minor, command.reason))]


def erase_subject(command: EraseSubject, state: States, context: Context) -> list[Decided]:
    """Whatever the account's standing: the right to be forgotten does not end with it, and no money moves."""
    account = existing(state, command.account_id)
    return [Decided(command.account_id, SubjectErased(account.erasures, command.grounds))]


def _format(amount_minor: int, account: Account) -> str:
    return format_minor(amount_minor, account.currency)
