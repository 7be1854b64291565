"""The rules, as given / when / then: a history, a command, and its events or its refusal."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal

import pytest

from ledger.domain.account import CLOSED, ERASED, FROZEN, Account, evolve, from_state, to_state
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    CreateAccount,
    Deposit,
    EraseSubject,
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
)
from ledger.domain.events import (
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
    SubjectErased,
    from_data,
    to_data,
)
from ledger.domain.instants import format_instant
from tests.domain_books import BOOKS, LATER, OPENED, account, events_of, refusal_of


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


def test_close_account_releases_what_has_expired_in_an_order_that_the_state_does_not_give() -> None:
    assert events_of(CloseAccount("over", "moved")) == [
        ("over", HoldReleased("h-4", 3, "expired")),
        ("over", HoldReleased("h-5", 2, "expired")),
        ("over", AccountClosed("moved")),
    ]


def test_close_account_says_what_is_still_held_not_what_has_expired() -> None:
    refusal = refusal_of(CloseAccount("half"))
    assert (refusal.code, refusal.fields["held"]) == ("account_not_empty", "0.02")
    assert "has 1 open holds" in str(refusal)


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


def test_an_event_of_an_older_schema_version_is_read_as_one_of_the_newest() -> None:
    stored = {"amount_minor": 5, "currency": "USD", "counter_account": "x", "description": "", "transfer_id": None}
    assert from_data("MoneyDeposited", stored, 1) == MoneyDeposited(5, "USD", "x", "")
    assert "exchange_rate" not in stored, "what is stored is never touched"
    second = {**stored, "exchange_rate": "1.5"}
    assert from_data("MoneyWithdrawn", second, 2) == MoneyWithdrawn(5, "USD", "x", "", None, "1.5")
    captured = {"hold_id": "h", "amount_minor": 5, "released_minor": 0, "currency": "USD", "counter_account": "x",
                "description": ""}  # fmt: skip
    assert from_data("HoldCaptured", captured, 1) == HoldCaptured("h", 5, 0, "USD", "x", "", None)


@pytest.mark.parametrize(
    "event", [AccountFrozen("x"), FundsHeld("h", 1, "USD", "", None), MoneyWithdrawn(1, "USD", "x", "")]
)
def test_an_event_survives_being_stored(event: object) -> None:
    assert from_data(type(event).__name__, to_data(event), event.schema_version) == event  # type: ignore[arg-type,attr-defined]


def test_an_account_survives_being_stored_with_every_field_it_has() -> None:
    account = Account("Nia", "USD", "2026-01-01T00:00:00.000000Z", "frozen", 1, 2, 3, {"h": {"amount_minor": 2}}, 4)
    state = to_state(account)
    assert list(state) == [field.name for field in fields(Account)]
    assert from_state(state) == account


def test_insufficient_funds_names_the_balance_and_what_was_required() -> None:
    said = refusal_of(Withdraw("ann", Decimal("100.01"))).fields
    assert (said["balance"], said["available"], said["required"]) == ("100.00", "100.00", "100.01")


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


@pytest.mark.parametrize("id_", ["ann", "gone", "cold"])
def test_a_subject_is_erased_whatever_the_accounts_standing(id_: str) -> None:
    ((_, event),) = events_of(EraseSubject(id_, "request 17"))
    assert event == SubjectErased(0, "request 17")
    before = BOOKS[id_]
    assert before is not None
    after = evolve(before, SubjectErased(0, "request 17"), OPENED)
    assert after == replace(before, owner_name=ERASED, erasures=1)
