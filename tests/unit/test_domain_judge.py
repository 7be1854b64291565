"""Deciding again agrees with deciding, for every command, and disagrees with what was never decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ledger.domain import commands as c
from ledger.domain.account import Account, evolve
from ledger.domain.aggregates import State
from ledger.domain.decide import Context, Decided, decide
from ledger.domain.events import LOG_KEYS, MoneyDeposited, MoneyWithdrawn, to_data
from ledger.domain.instants import format_instant
from ledger.domain.judge import _COMMAND_OF, FindCurrency, Recorded, judge
from ledger.domain.log_keys import LogKeys
from ledger.domain.original import Original, OriginalLeg
from ledger.domain.reversal import Reversal
from ledger.domain.transfer import Transfer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = "6a5b0b62-7f0e-4d4b-9d1c-3a5e0e3f3c11"
LATER = NOW + timedelta(days=1)


def account(currency: str = "USD", balance_minor: int = 10_000, **fields: object) -> Account:
    opened = Account(owner_name="Ann", currency=currency, opened_at="2026-01-01T00:00:00.000000Z")
    return replace(opened, balance_minor=balance_minor, **fields)  # type: ignore[arg-type]


def with_hold(expires_at: datetime | None) -> Account:
    (placed,) = decide(
        c.PlaceHold("a", Decimal(5), "", expires_at), {"a": account()}, context(NOW - timedelta(hours=1))
    )
    return evolve(account(), placed.event, format_instant(NOW))


def context(now: datetime = NOW) -> Context:
    return Context(ID, now, now)


RENT = Original("o-1", (
    OriginalLeg("e-0", "a", MoneyWithdrawn(700, "USD", "b", "rent", "t-1")),
    OriginalLeg("e-1", "b", MoneyDeposited(700, "USD", "a", "rent", "t-1")),
))  # fmt: skip


def take_back(amount: Decimal | None, *, force: bool = False) -> c.Reverse:
    return c.Reverse("mistaken", command_id="o-1", amount=amount, force=force, original=RENT)


STARTED = Transfer("a", "b", 700, "USD", "rent")


def reserved() -> Account:
    return account(held_minor=700, holds={"transfer:t-1": {"amount_minor": 700, "expires_at": None}})


CASES: dict[c.Command, dict[str, State | None]] = {
    c.CreateAccount("a", "Ann", "USD", Decimal("1.50")): {"a": None},
    c.CreateAccount("a", "Ann", "JPY"): {"a": None},
    c.Deposit("a", Decimal("0.10"), "pay"): {"a": account()},
    c.Withdraw("a", Decimal(100)): {"a": account()},
    c.Transfer("a", "b", Decimal(7), "rent"): {"a": account(), "b": account()},
    c.MultiTransfer((c.Leg("a", Decimal(3)), c.Leg("b", Decimal(4))), (c.Leg("d", Decimal(7)),), "split"): {
        "a": account(), "b": account(), "d": account()},
    c.Exchange("a", "b", Decimal(10), Decimal("9.21")): {"a": account(), "b": account("EUR")},
    c.Exchange("a", "b", Decimal(3), Decimal(1000)): {"a": account(), "b": account("JPY")},
    c.FreezeAccount("a", "court order"): {"a": account()},
    c.UnfreezeAccount("a", "lifted"): {"a": account(status="frozen")},
    c.CloseAccount("a", "moved"): {"a": account(balance_minor=0)},
    c.CloseAccount("a", "late"): {"a": replace(with_hold(NOW - timedelta(minutes=1)), balance_minor=0)},
    c.SetOverdraftLimit("a", Decimal("12.30"), "agreed"): {"a": account()},
    c.PlaceHold("a", Decimal(5), "hotel", LATER): {"a": account()},
    c.PlaceHold("a", Decimal(5)): {"a": account()},
    c.CaptureHold("a", ID, Decimal(2), "part"): {"a": with_hold(LATER)},
    c.CaptureHold("a", ID): {"a": with_hold(None)},
    c.ReleaseHold("a", ID, "cancelled"): {"a": with_hold(None)},
    c.ExpireHold("a", ID): {"a": with_hold(NOW - timedelta(minutes=1))},
    c.StartTransfer("a", "b", Decimal(7), "rent"): {"a": account(), "b": account()},
    c.SettleTransfer("t-1", "a", "b"): {"a": reserved(), "b": account(), "transfer:t-1": STARTED},
    c.FailTransfer("t-1", "a", "account_frozen", "account b is frozen"): {"a": reserved(), "transfer:t-1": STARTED},
    take_back(None): {"a": account(), "b": account(), "reversal:o-1": None},
    take_back(Decimal("0.07")): {"a": account(), "b": account(), "reversal:o-1": Reversal("USD", 700, 690)},
    take_back(Decimal(1), force=True): {"a": account(), "b": account(balance_minor=0), "reversal:o-1": None},
    c.EraseSubject("a", "request 17"): {"a": account(status="closed", erasures=1)},
    c.RotateLogKey("log+2", "log+3", "signed by both"): {LOG_KEYS: LogKeys(("log+1", "log+2"))},
}  # fmt: skip


def recorded(decided: list[Decided]) -> list[Recorded]:
    return [Recorded(d.aggregate_id, type(d.event).__name__, d.event.schema_version, to_data(d.event)) for d in decided]


def judged(command: c.Command, events: list[Recorded], state: Mapping[str, State | None],
           originals: Mapping[str, Original] = {"o-1": RENT}, **knowing: FindCurrency) -> str | None:  # fmt: skip
    instants = (format_instant(NOW), format_instant(NOW))
    return judge(c.type_of[type(command)], events, state, ID, *instants, originals.get, **knowing)


@pytest.mark.parametrize("command", CASES, ids=lambda command: type(command).__name__)
def test_what_the_rules_led_to_is_judged_legal(command: c.Command) -> None:
    state = CASES[command]
    assert judged(command, recorded(decide(command, state, context())), state) is None


def test_every_command_can_be_judged_and_has_a_case() -> None:
    assert set(_COMMAND_OF) == set(c.type_of.values())
    assert {type(command) for command in CASES} == set(c.type_of)


@pytest.mark.parametrize("command", [case for case in CASES if isinstance(case, c.Withdraw | c.Transfer | c.PlaceHold)],
                         ids=lambda command: type(command).__name__)  # fmt: skip
def test_money_that_was_not_there_is_judged_illegal(command: c.Command) -> None:
    events = recorded(decide(command, CASES[command], context()))
    poor = {id_: account(balance_minor=1) for id_ in CASES[command]}
    assert (judged(command, events, poor) or "").startswith("insufficient_funds")


def test_a_transfer_that_arrives_as_more_than_it_left_is_judged_illegal() -> None:
    command, state = c.Transfer("a", "b", Decimal(7)), {"a": account(), "b": account()}
    out, into = recorded(decide(command, state, context()))
    assert "leads to" in (judged(command, [out, replace(into, data={**into.data, "amount_minor": 701})], state) or "")


def test_a_reversal_of_what_does_not_exist_is_judged_illegal() -> None:
    command = take_back(None)
    events = recorded(decide(command, CASES[command], context()))
    assert (judged(command, events, CASES[command], originals={}) or "").startswith("original_not_found")


def test_reversals_that_add_up_to_more_than_the_original_are_judged_illegal() -> None:
    command = take_back(Decimal("0.07"))
    events = recorded(decide(command, CASES[command], context()))
    spent = {**CASES[command], "reversal:o-1": Reversal("USD", 700, 694)}
    assert (judged(command, events, spent) or "").startswith("reversal_exceeded")


def test_a_reversal_that_names_other_events_than_the_originals_is_judged_illegal() -> None:
    command = take_back(None)
    back, out, counted = recorded(decide(command, CASES[command], context()))
    named = replace(out, data={**out.data, "reverses": "e-7"})
    assert "leads to" in (judged(command, [back, named, counted], CASES[command]) or "")


def test_a_transfer_that_is_settled_twice_or_elsewhere_is_judged_illegal() -> None:
    command = c.SettleTransfer("t-1", "a", "b")
    events = recorded(decide(command, CASES[command], context()))
    done = {**CASES[command], "transfer:t-1": replace(STARTED, status="completed")}
    assert (judged(command, events, done) or "").startswith("transfer_ended")
    elsewhere = {**CASES[command], "transfer:t-1": replace(STARTED, to_account_id="d")}
    assert "no command of this ledger" in (judged(command, events, elsewhere) or "")


def test_what_a_started_transfers_target_was_like_is_not_judged_with_its_start() -> None:
    command = c.StartTransfer("a", "b", Decimal(7), "rent")
    events = recorded(decide(command, CASES[command], context()))
    assert judged(command, events, {"a": account(), f"transfer:{ID}": None}) is None


def test_a_started_transfer_to_what_was_never_opened_or_in_another_currency_is_judged_illegal() -> None:
    command = c.StartTransfer("a", "b", Decimal(7), "rent")
    events = recorded(decide(command, CASES[command], context()))
    state = {"a": account(), f"transfer:{ID}": None}
    for currency, code in ((None, "account_not_found"), ("EUR", "currency_mismatch"), ("USD", "")):
        said = judged(command, events, state, find_currency=lambda account_id, _: currency) or ""  # noqa: B023
        assert said.partition(":")[0] == code


def test_what_no_command_leads_to_is_judged_illegal() -> None:
    state = {"a": account()}
    event = Recorded("a", "MoneyMultiplied", 1, {})
    assert "no command of this ledger" in (
        judge("deposit", [event], state, ID, format_instant(NOW), format_instant(NOW)) or ""
    )
    legal = recorded(decide(c.Deposit("a", Decimal(1)), state, context()))
    assert "no command of this ledger" in (
        judge("gift", legal, state, ID, format_instant(NOW), format_instant(NOW)) or ""
    )
