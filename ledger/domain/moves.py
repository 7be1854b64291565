"""Rules for money between accounts: transfer, multi-transfer, exchange. Every command's postings sum to zero."""

from __future__ import annotations

from collections import Counter
from decimal import Context as DecimalContext
from decimal import Decimal

from ledger.domain.account import Account
from ledger.domain.commands import Exchange, Leg, MultiTransfer, Transfer
from ledger.domain.decision import Context, Decided, States, check_all_open, check_funds, check_room, existing
from ledger.domain.errors import CurrencyMismatch, SameAccount, SameCurrency, Unbalanced
from ledger.domain.events import CLEARING, EXCHANGE, MoneyDeposited, MoneyWithdrawn
from ledger.domain.money import format_minor, to_minor

RATE_DIGITS = 12  # significant digits of a rate on record; the two amounts are exact whatever it says


def transfer(command: Transfer, state: States, context: Context) -> list[Decided]:
    source_id, target_id = command.from_account_id, command.to_account_id
    source, target = _two(source_id, target_id, state)
    amount_minor = to_minor(command.amount, source.currency)
    check_all_open({source_id: source, target_id: target}, context.effective_at)
    if source.currency != target.currency:
        raise CurrencyMismatch(
            f"{source_id} holds {source.currency}, {target_id} holds {target.currency}",
            from_currency=source.currency,
            to_currency=target.currency,
        )
    check_funds(source_id, source, amount_minor, context.recorded_at)
    check_room(target_id, target, amount_minor)
    common = (command.description, context.command_id)
    return [
        Decided(source_id, MoneyWithdrawn(amount_minor, source.currency, target_id, *common)),
        Decided(target_id, MoneyDeposited(amount_minor, source.currency, source_id, *common)),
    ]


def exchange(command: Exchange, state: States, context: Context) -> list[Decided]:
    source_id, target_id = command.from_account_id, command.to_account_id
    source, target = _two(source_id, target_id, state)
    if source.currency == target.currency:
        raise SameCurrency(f"{source_id} and {target_id} both hold {source.currency}: use a transfer")
    sold_minor, bought_minor = to_minor(command.amount, source.currency), to_minor(command.to_amount, target.currency)
    check_all_open({source_id: source, target_id: target}, context.effective_at)
    check_funds(source_id, source, sold_minor, context.recorded_at)
    check_room(target_id, target, bought_minor)
    common = (command.description, context.command_id)
    sold_for = _rate(command.to_amount, command.amount)
    bought_for = _rate(command.amount, command.to_amount)
    return [
        Decided(source_id, MoneyWithdrawn(sold_minor, source.currency, EXCHANGE + source.currency, *common, sold_for)),
        Decided(
            target_id, MoneyDeposited(bought_minor, target.currency, EXCHANGE + target.currency, *common, bought_for)
        ),
    ]


def multi_transfer(command: MultiTransfer, state: States, context: Context) -> list[Decided]:
    ids = command.aggregate_ids
    if repeated := [id_ for id_, count in Counter(ids).items() if count > 1]:
        raise SameAccount("an account takes part in a multi-transfer once", account_id=repeated[0])
    accounts = {account_id: existing(state, account_id) for account_id in ids}
    out = _amounts(command.sources, accounts)
    into = _amounts(command.targets, accounts)
    _check_balanced(_totals(out, accounts), _totals(into, accounts))
    check_all_open(accounts, context.effective_at)
    for account_id, amount_minor in out.items():
        check_funds(account_id, accounts[account_id], amount_minor, context.recorded_at)
    for account_id, amount_minor in into.items():
        check_room(account_id, accounts[account_id], amount_minor)
    return [_leg(MoneyWithdrawn, id_, accounts[id_], minor, command, context) for id_, minor in out.items()] + [
        _leg(MoneyDeposited, id_, accounts[id_], minor, command, context) for id_, minor in into.items()
    ]


def _two(source_id: str, target_id: str, state: States) -> tuple[Account, Account]:
    if source_id == target_id:
        raise SameAccount("money moves between two different accounts", account_id=source_id)
    return existing(state, source_id), existing(state, target_id)


def _amounts(legs: tuple[Leg, ...], accounts: dict[str, Account]) -> dict[str, int]:
    return {leg.account_id: to_minor(leg.amount, accounts[leg.account_id].currency) for leg in legs}


def _totals(amounts: dict[str, int], accounts: dict[str, Account]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for account_id, amount_minor in amounts.items():
        totals[accounts[account_id].currency] += amount_minor
    return totals


def _check_balanced(sources: Counter[str], targets: Counter[str]) -> None:
    for currency in sorted(sources | targets):
        if sources[currency] != targets[currency]:
            raise Unbalanced(
                f"the sources give {format_minor(sources[currency], currency)} {currency}, "
                f"the targets get {format_minor(targets[currency], currency)}",
                currency=currency,
                sources=format_minor(sources[currency], currency),
                targets=format_minor(targets[currency], currency),
            )


def _leg(event_type: type[MoneyWithdrawn | MoneyDeposited], account_id: str, account: Account, amount_minor: int,
         command: MultiTransfer, context: Context) -> Decided:  # fmt: skip
    counter_account = CLEARING + account.currency
    event = event_type(amount_minor, account.currency, counter_account, command.description, context.command_id)
    return Decided(account_id, event)


def _rate(numerator: Decimal, denominator: Decimal) -> str:
    return format(DecimalContext(prec=RATE_DIGITS).divide(numerator, denominator).normalize(), "f")
