"""The rules, as given / when / then: a history, a command, and its events or its refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ledger.domain.account import CLOSED, FROZEN, Account, evolve
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    CreateAccount,
    Deposit,
    Exchange,
    ExpireHold,
    FreezeAccount,
    Leg,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    SetOverdraftLimit,
    Transfer,
    UnfreezeAccount,
    Withdraw,
    type_of,
)
from ledger.domain.decide import Context, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import (
    EVENT_TYPES,
    EXTERNAL,
    AccountClosed,
    AccountCreated,
    AccountFrozen,
    AccountUnfrozen,
    FundsHeld,
    HoldCaptured,
    HoldReleased,
    MoneyDeposited,
    MoneyWithdrawn,
    OverdraftLimitChanged,
    from_data,
    to_data,
)
from ledger.domain.instants import format_instant
from ledger.domain.money import AMOUNT_MINOR_MAX

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
OPENED = format_instant(NOW - timedelta(days=1))


def account(balance_minor: int = 10_000, **fields: object) -> Account:
    return Account(owner_name="Ann", currency="USD", opened_at=OPENED, balance_minor=balance_minor, **fields)  # type: ignore[arg-type]


BOOKS: dict[str, Account | None] = {
    "ann": account(),
    "bob": account(0),
    "cold": account(status=FROZEN),
    "gone": account(0, status=CLOSED),
    "full": account(AMOUNT_MINOR_MAX),
    "held": account(held_minor=4_000, holds={"h-1": {"amount_minor": 4_000, "expires_at": None}}),
    "late": account(held_minor=4_000, holds={"h-2": {"amount_minor": 4_000, "expires_at": format_instant(NOW)}}),
    "soon": account(held_minor=1, holds={"h-3": {"amount_minor": 1, "expires_at": format_instant(LATER)}}),
    "many": account(holds={f"h{n}": {"amount_minor": 1, "expires_at": None} for n in range(100)}, held_minor=100),
    "used": account(-3_000, overdraft_limit_minor=5_000),
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


def test_freeze_and_unfreeze_say_why() -> None:
    assert events_of(FreezeAccount("ann", "court order")) == [("ann", AccountFrozen("court order"))]
    assert events_of(UnfreezeAccount("cold", "lifted")) == [("cold", AccountUnfrozen("lifted"))]


def test_close_account_needs_an_empty_one() -> None:
    assert events_of(CloseAccount("bob", "moved")) == [("bob", AccountClosed("moved"))]


def test_set_overdraft_limit_may_go_down_to_what_is_used() -> None:
    assert events_of(SetOverdraftLimit("used", Decimal(30))) == [("used", OverdraftLimitChanged(3_000, ""))]
    assert events_of(SetOverdraftLimit("ann", Decimal(0))) == [("ann", OverdraftLimitChanged(0, ""))]


def test_place_hold_reserves_under_the_commands_id() -> None:
    held = FundsHeld("c-1", 500, "USD", "room", format_instant(LATER))
    assert events_of(PlaceHold("ann", Decimal(5), "room", LATER)) == [("ann", held)]


def test_capture_hold_takes_all_or_a_part_and_releases_the_rest() -> None:
    whole = HoldCaptured("h-1", 4_000, 0, "USD", "external:USD", "")
    part = HoldCaptured("h-1", 1_500, 2_500, "USD", "external:USD", "")
    assert events_of(CaptureHold("held", "h-1")) == [("held", whole)]
    assert events_of(CaptureHold("held", "h-1", Decimal(15))) == [("held", part)]


def test_release_hold_and_expire_hold_set_the_money_free() -> None:
    assert events_of(ReleaseHold("held", "h-1", "no show")) == [("held", HoldReleased("h-1", 4_000, "no show"))]
    assert events_of(ExpireHold("late", "h-2")) == [("late", HoldReleased("h-2", 4_000, "expired"))]


def test_an_expired_hold_holds_nothing_even_before_it_is_released() -> None:
    assert events_of(Withdraw("late", Decimal(100))) == [("late", MoneyWithdrawn(10_000, "USD", "external:USD", ""))]


def test_multi_transfer_balances_over_a_clearing_account() -> None:
    command = MultiTransfer(
        (Leg("ann", Decimal(5)), Leg("deep", Decimal(3))), (Leg("bob", Decimal(6)), Leg("used", Decimal(2))), "split"
    )
    moved = [(id_, type(e).__name__, e.amount_minor, e.counter_account) for id_, e in events_of(command)]
    assert moved == [
        ("ann", "MoneyWithdrawn", 500, "clearing:USD"),
        ("deep", "MoneyWithdrawn", 300, "clearing:USD"),
        ("bob", "MoneyDeposited", 600, "clearing:USD"),
        ("used", "MoneyDeposited", 200, "clearing:USD"),
    ]


def test_exchange_is_two_legs_with_the_rate_on_record() -> None:
    (_, sold), (_, bought) = events_of(Exchange("ann", "yen", Decimal("2.00"), Decimal(300), "trip"))
    assert sold == MoneyWithdrawn(200, "USD", "exchange:USD", "trip", "c-1", "150")
    assert bought == MoneyDeposited(300, "JPY", "exchange:JPY", "trip", "c-1", "0.00666666666667")


def test_an_event_of_schema_version_1_is_read_as_one_of_version_2() -> None:
    stored = {"amount_minor": 5, "currency": "USD", "counter_account": "x", "description": "", "transfer_id": None}
    assert from_data("MoneyDeposited", stored, 1) == MoneyDeposited(5, "USD", "x", "")
    assert "exchange_rate" not in stored, "what is stored is never touched"


@pytest.mark.parametrize(
    "event", [AccountFrozen("x"), FundsHeld("h", 1, "USD", "", None), MoneyWithdrawn(1, "USD", "x", "")]
)
def test_an_event_survives_being_stored(event: object) -> None:
    assert from_data(type(event).__name__, to_data(event), event.schema_version) == event  # type: ignore[arg-type,attr-defined]


def test_every_command_has_a_name_a_rule_and_a_refusal_in_the_table() -> None:
    from ledger.domain.decide import _RULES

    assert set(type_of) == set(_RULES) == {type(command) for command, _, _ in REFUSALS}
    assert len(EVENT_TYPES) == 10


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
    (FreezeAccount("new"), NOW, "account_not_found"),
    (FreezeAccount("gone"), NOW, "account_closed"),
    (FreezeAccount("cold"), NOW, "account_frozen"),
    (UnfreezeAccount("gone"), NOW, "account_closed"),
    (UnfreezeAccount("ann"), NOW, "account_not_frozen"),
    (CloseAccount("gone"), NOW, "account_closed"),
    (CloseAccount("cold"), NOW, "account_frozen"),
    (CloseAccount("ann"), NOW, "account_not_empty"),
    (SetOverdraftLimit("ann", Decimal("-1")), NOW, "amount_not_positive"),
    (SetOverdraftLimit("gone", Decimal(1)), NOW, "account_closed"),
    (SetOverdraftLimit("used", Decimal("29.99")), NOW, "overdraft_in_use"),
    (PlaceHold("gone", Decimal(0), expires_at=NOW), NOW, "amount_not_positive"),
    (PlaceHold("gone", Decimal(1), expires_at=NOW), NOW, "expires_at_in_past"),
    (PlaceHold("gone", Decimal(1_000)), NOW, "account_closed"),
    (PlaceHold("cold", Decimal(1_000)), NOW, "account_frozen"),
    (PlaceHold("many", Decimal(1_000)), NOW, "too_many_holds"),
    (PlaceHold("held", Decimal("60.01")), NOW, "insufficient_funds"),
    (CaptureHold("new", "h-1"), NOW, "account_not_found"),
    (CaptureHold("ann", "h-1", Decimal(0)), NOW, "hold_not_found"),
    (CaptureHold("held", "h-1", Decimal(0)), NOW, "amount_not_positive"),
    (CaptureHold("late", "h-2", Decimal(1_000)), NOW, "hold_expired"),
    (CaptureHold("held", "h-1", Decimal("40.01")), NOW, "hold_exceeded"),
    (ReleaseHold("held", "h-9"), NOW, "hold_not_found"),
    (ExpireHold("held", "h-1"), NOW, "hold_not_expired"),
    (ExpireHold("soon", "h-3"), NOW, "hold_not_expired"),
    (MultiTransfer((Leg("ann", Decimal(1)),), (Leg("ann", Decimal(1)),)), NOW, "same_account"),
    (MultiTransfer((Leg("new", Decimal(0)),), (Leg("bob", Decimal(1)),)), NOW, "account_not_found"),
    (MultiTransfer((Leg("ann", Decimal(0)),), (Leg("gone", Decimal(1)),)), NOW, "amount_not_positive"),
    (MultiTransfer((Leg("ann", Decimal(2)),), (Leg("gone", Decimal(1)),)), NOW, "unbalanced"),
    (MultiTransfer((Leg("ann", Decimal(1)),), (Leg("yen", Decimal(1)),)), NOW, "unbalanced"),
    (MultiTransfer((Leg("ann", Decimal(1_000)),), (Leg("gone", Decimal(1_000)),)), NOW, "account_closed"),
    (MultiTransfer((Leg("ann", Decimal(1_000)),), (Leg("full", Decimal(1_000)),)), NOW, "insufficient_funds"),
    (MultiTransfer((Leg("ann", Decimal(1)),), (Leg("full", Decimal(1)),)), NOW, "balance_too_large"),
    (Exchange("ann", "ann", Decimal(1), Decimal(1)), NOW, "same_account"),
    (Exchange("ann", "bob", Decimal(0), Decimal(1)), NOW, "same_currency"),
    (Exchange("ann", "yen", Decimal(0), Decimal(1)), NOW, "amount_not_positive"),
    (Exchange("ann", "yen", Decimal(1), Decimal("0.5")), NOW, "too_many_decimals"),
    (Exchange("ann", "yen", Decimal(1_000), Decimal(1)), NOW, "insufficient_funds"),
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


def test_evolve_keeps_holds_and_what_they_hold_in_step() -> None:
    state = account()
    steps = [
        (FundsHeld("a", 300, "USD", "", None), (10_000, 300, ["a"])),
        (FundsHeld("b", 200, "USD", "", None), (10_000, 500, ["a", "b"])),
        (HoldCaptured("a", 100, 200, "USD", "x", ""), (9_900, 200, ["b"])),
        (HoldReleased("b", 200, ""), (9_900, 0, [])),
    ]
    for event, expected in steps:
        state = evolve(state, event, OPENED)
        assert (state.balance_minor, state.held_minor, list(state.holds)) == expected


def test_evolve_follows_an_accounts_standing() -> None:
    state = account(0)
    for event, status in [(AccountFrozen(""), FROZEN), (AccountUnfrozen(""), "active"), (AccountClosed(""), CLOSED)]:
        state = evolve(state, event, OPENED)
        assert state.status == status
    assert evolve(state, OverdraftLimitChanged(7, ""), OPENED).overdraft_limit_minor == 7


def test_evolve_never_refuses_what_has_happened() -> None:
    overdrawn = evolve(account(0), MoneyWithdrawn(1, "USD", "x", ""), OPENED)
    assert overdrawn.balance_minor == -1
