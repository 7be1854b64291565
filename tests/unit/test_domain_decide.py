"""The rules, as given / when / then: a history, a command, and its events or its refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ledger.domain.account import CLOSED, FROZEN, Account, evolve
from ledger.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
from ledger.domain.decide import Context, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import EXTERNAL, AccountCreated, MoneyDeposited, MoneyWithdrawn
from ledger.domain.instants import format_instant
from ledger.domain.money import AMOUNT_MINOR_MAX

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OPENED = format_instant(NOW - timedelta(days=1))


def account(balance_minor: int = 10_000, **fields: object) -> Account:
    return Account(owner_name="Ann", currency="USD", opened_at=OPENED, balance_minor=balance_minor, **fields)  # type: ignore[arg-type]


BOOKS: dict[str, Account | None] = {
    "ann": account(),
    "bob": account(0),
    "cold": account(status=FROZEN),
    "gone": account(0, status=CLOSED),
    "full": account(AMOUNT_MINOR_MAX),
    "held": account(held_minor=4_000),
    "deep": account(overdraft_limit_minor=5_000),
    "yen": Account("Yui", "JPY", OPENED, balance_minor=500),
    "new": None,
}


def events_of(command: Command, effective_at: datetime = NOW) -> list[tuple[str, object]]:
    return [(d.aggregate_id, d.event) for d in decide(command, BOOKS, Context("c-1", effective_at, NOW))]


def refusal_of(command: Command, effective_at: datetime = NOW) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        decide(command, BOOKS, Context("c-1", effective_at, NOW))
    return caught.value


def test_create_account_without_money_is_one_event() -> None:
    assert events_of(CreateAccount("new", "Nia", "USD")) == [("new", AccountCreated("Nia", "USD"))]


def test_create_account_with_money_deposits_it_from_outside() -> None:
    _, (account_id, deposited) = events_of(CreateAccount("new", "Nia", "USD", Decimal("1.50")))
    assert account_id == "new"
    assert deposited == MoneyDeposited(150, "USD", EXTERNAL + "USD", "Initial balance")


def test_deposit_comes_from_outside() -> None:
    assert events_of(Deposit("ann", Decimal("5"), "pay")) == [
        ("ann", MoneyDeposited(500, "USD", "external:USD", "pay"))
    ]


def test_withdraw_may_take_all_that_is_available() -> None:
    assert events_of(Withdraw("ann", Decimal(100))) == [("ann", MoneyWithdrawn(10_000, "USD", "external:USD", ""))]
    assert events_of(Withdraw("held", Decimal(60))) == [("held", MoneyWithdrawn(6_000, "USD", "external:USD", ""))]
    assert events_of(Withdraw("deep", Decimal(150))) == [("deep", MoneyWithdrawn(15_000, "USD", "external:USD", ""))]


def test_transfer_is_two_events_that_sum_to_zero_under_the_commands_id() -> None:
    (source_id, out), (target_id, into) = events_of(Transfer("ann", "bob", Decimal("2.50"), "rent"))
    assert (source_id, target_id) == ("ann", "bob")
    assert out == MoneyWithdrawn(250, "USD", "bob", "rent", "c-1")
    assert into == MoneyDeposited(250, "USD", "ann", "rent", "c-1")


# In order of precedence: each row breaks its own rule and, where it can, every rule further down.
REFUSALS = [
    (Deposit("new", Decimal(0)), NOW + timedelta(seconds=1), "effective_at_in_future"),
    (CreateAccount("ann", "Ann", "ZZZ", Decimal("-1")), NOW, "unknown_currency"),
    (CreateAccount("ann", "Ann", "USD", Decimal("-1")), NOW, "amount_not_positive"),
    (CreateAccount("ann", "Ann", "USD", Decimal("1e20")), NOW, "amount_too_large"),
    (CreateAccount("ann", "Ann", "USD", Decimal("0.001")), NOW, "too_many_decimals"),
    (CreateAccount("ann", "Ann", "USD"), NOW, "account_exists"),
    (Transfer("new", "new", Decimal(0)), NOW, "same_account"),
    (Transfer("new", "gone", Decimal(0)), NOW, "account_not_found"),
    (Transfer("cold", "new", Decimal(0)), NOW, "account_not_found"),
    (Deposit("new", Decimal(0)), NOW, "account_not_found"),
    (Withdraw("new", Decimal(0)), NOW, "account_not_found"),
    (Withdraw("gone", Decimal(0)), NOW, "amount_not_positive"),
    (Withdraw("gone", Decimal("1e20")), NOW, "amount_too_large"),
    (Withdraw("gone", Decimal("1000000.001")), NOW, "too_many_decimals"),
    (Withdraw("gone", Decimal(1_000)), NOW - timedelta(days=9), "account_closed"),
    (Withdraw("cold", Decimal(1_000)), NOW - timedelta(days=9), "account_frozen"),
    (Withdraw("ann", Decimal(1_000)), NOW - timedelta(days=9), "effective_before_opening"),
    (Transfer("ann", "gone", Decimal(1_000)), NOW, "account_closed"),
    (Transfer("ann", "cold", Decimal(1_000)), NOW, "account_frozen"),
    (Transfer("ann", "yen", Decimal(1_000)), NOW, "currency_mismatch"),
    (Transfer("ann", "full", Decimal("100.01")), NOW, "insufficient_funds"),
    (Withdraw("ann", Decimal("100.01")), NOW, "insufficient_funds"),
    (Withdraw("held", Decimal("60.01")), NOW, "insufficient_funds"),
    (Withdraw("deep", Decimal("150.01")), NOW, "insufficient_funds"),
    (Transfer("ann", "full", Decimal("0.01")), NOW, "balance_too_large"),
    (Deposit("full", Decimal("0.01")), NOW, "balance_too_large"),
]


@pytest.mark.parametrize(("command", "effective_at", "code"), REFUSALS)
def test_each_refusal_has_its_code_in_order_of_precedence(command: Command, effective_at: datetime, code: str) -> None:
    assert refusal_of(command, effective_at).code == code


def test_insufficient_funds_names_the_balance_and_what_was_required() -> None:
    fields = refusal_of(Withdraw("ann", Decimal("100.01"))).fields
    assert (fields["balance"], fields["available"], fields["required"]) == ("100.00", "100.00", "100.01")


def test_evolve_follows_a_history() -> None:
    state = None
    for event in (
        AccountCreated("Nia", "USD"),
        MoneyDeposited(700, "USD", "x", ""),
        MoneyWithdrawn(50, "USD", "x", ""),
    ):
        state = evolve(state, event, OPENED)
    assert state == Account("Nia", "USD", OPENED, balance_minor=650)


def test_evolve_never_refuses_what_has_happened() -> None:
    overdrawn = evolve(account(0), MoneyWithdrawn(1, "USD", "x", ""), OPENED)
    assert overdrawn.balance_minor == -1
