"""Every refusal of every command, in the order in which docs/errors.md lists them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    CreateAccount,
    Deposit,
    EraseSubject,
    Exchange,
    ExpireHold,
    FailTransfer,
    FreezeAccount,
    Leg,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    Reverse,
    RotateLogKey,
    SetOverdraftLimit,
    SettleTransfer,
    StartTransfer,
    Transfer,
    UnfreezeAccount,
    Withdraw,
    type_of,
)
from ledger.domain.events import (
    EVENT_TYPES,
)
from ledger.domain.original import Original
from tests.domain_books import NOW, deposited, original, refusal_of, withdrawn

SOLD_FOR_YEN = original(withdrawn("gone"), deposited("yen", currency="JPY"))
SPLIT = original(withdrawn("gone"), deposited("ann", 2_000), deposited("bob", 3_000))


def reversing(what: Original, amount: Decimal | None = None, *, force: bool = False) -> Reverse:
    return Reverse("why", command_id=what.command_id, amount=amount, force=force, original=what)


# In order of precedence: each row breaks its own rule and, where it can, every rule further down.
REFUSALS = [
    (Deposit("new", Decimal(0)), NOW + timedelta(seconds=1), "effective_at_in_future"),
    (CreateAccount("external:ZZZ", "Ann", "ZZZ", Decimal("-1")), NOW, "invalid_account_id"),
    (CreateAccount("reversal:c-1", "Ann", "ZZZ", Decimal("-1")), NOW, "invalid_account_id"),
    (CreateAccount("transfer:c-1", "Ann", "ZZZ", Decimal("-1")), NOW, "invalid_account_id"),
    (CreateAccount("log:keys", "Ann", "ZZZ", Decimal("-1")), NOW, "invalid_account_id"),
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
    (Transfer("cold", "gone", Decimal(1_000)), NOW - timedelta(days=9), "account_closed"),
    (Transfer("ann", "cold", Decimal(1_000)), NOW - timedelta(days=9), "account_frozen"),
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
    (CloseAccount("late"), NOW, "account_not_empty"),
    (CloseAccount("half"), NOW, "account_not_empty"),
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
    (EraseSubject("new", "request 17"), NOW, "account_not_found"),
    (MultiTransfer((Leg("ann", Decimal(1)),), (Leg("ann", Decimal(1)),)), NOW, "same_account"),
    (MultiTransfer((Leg("new", Decimal(0)),), (Leg("bob", Decimal(1)),)), NOW, "account_not_found"),
    (MultiTransfer((Leg("ann", Decimal(0)),), (Leg("gone", Decimal(1)),)), NOW, "amount_not_positive"),
    (MultiTransfer((Leg("ann", Decimal(2)),), (Leg("gone", Decimal(1)),)), NOW, "unbalanced"),
    (MultiTransfer((Leg("ann", Decimal(1)),), (Leg("yen", Decimal(1)),)), NOW, "unbalanced"),
    (MultiTransfer((Leg("cold", Decimal(1_000)),), (Leg("gone", Decimal(1_000)),)), NOW, "account_closed"),
    (MultiTransfer((Leg("ann", Decimal(1_000)),), (Leg("full", Decimal(1_000)),)), NOW, "insufficient_funds"),
    (MultiTransfer((Leg("ann", Decimal(1)),), (Leg("full", Decimal(1)),)), NOW, "balance_too_large"),
    (Exchange("ann", "ann", Decimal(1), Decimal(1)), NOW, "same_account"),
    (Exchange("ann", "bob", Decimal(0), Decimal(1)), NOW, "same_currency"),
    (Exchange("ann", "yen", Decimal(0), Decimal(1)), NOW, "amount_not_positive"),
    (Exchange("ann", "yen", Decimal(1), Decimal("0.5")), NOW, "too_many_decimals"),
    (Exchange("yen", "gone", Decimal(1_000), Decimal(1)), NOW - timedelta(days=9), "account_closed"),
    (Exchange("ann", "yen", Decimal(1_000), Decimal(1)), NOW, "insufficient_funds"),
    (Deposit("full", Decimal("0.01")), NOW, "balance_too_large"),
    (RotateLogKey("log+1", "log+3", ""), NOW, "invalid_succession"),
    (RotateLogKey("log+2", "log+1", ""), NOW, "invalid_succession"),
    (Reverse("why", command_id="o-1", amount=Decimal(0)), NOW, "original_not_found"),
    (reversing(original(), Decimal(0)), NOW, "nothing_to_reverse"),
    (reversing(original(deposited("gone", reverses="e-9")), Decimal(0)), NOW, "reversal_of_reversal"),
    (reversing(original(deposited("gone")), Decimal(0)), NOW, "amount_not_positive"),
    (reversing(original(deposited("gone")), Decimal("1e20")), NOW, "amount_too_large"),
    (reversing(original(deposited("gone")), Decimal("0.001")), NOW, "too_many_decimals"),
    (reversing(SOLD_FOR_YEN, Decimal(1)), NOW, "part_not_reversible"),
    (reversing(SPLIT, Decimal(1)), NOW, "part_not_reversible"),
    (reversing(original(withdrawn("cold"), deposited("gone"))), NOW - timedelta(days=9), "account_closed"),
    (reversing(original(withdrawn("ann"), deposited("cold"))), NOW - timedelta(days=9), "account_frozen"),
    (reversing(original(deposited("bob"), command_id="done")), NOW - timedelta(days=9), "effective_before_opening"),
    (reversing(original(deposited("bob"), command_id="done")), NOW, "already_reversed"),
    (reversing(original(deposited("bob"), command_id="part"), Decimal("30.01")), NOW, "reversal_exceeded"),
    (reversing(original(withdrawn("full"), deposited("bob"))), NOW, "insufficient_funds"),
    (reversing(original(withdrawn("full"), deposited("ann"))), NOW, "balance_too_large"),
    (reversing(original(deposited("held", 6_001))), NOW, "insufficient_funds"),
    (reversing(original(deposited("deepest", 2)), force=True), NOW, "balance_too_large"),
    (StartTransfer("new", "new", Decimal(0)), NOW, "same_account"),
    (StartTransfer("new", "gone", Decimal(0)), NOW, "account_not_found"),
    (StartTransfer("gone", "new", Decimal(0)), NOW, "account_not_found"),
    (StartTransfer("transfer:t-1", "gone", Decimal(0)), NOW, "account_not_found"),
    (StartTransfer("cold", "gone", Decimal(0)), NOW, "amount_not_positive"),
    (StartTransfer("cold", "gone", Decimal("0.001")), NOW, "too_many_decimals"),
    (StartTransfer("cold", "gone", Decimal(1_000)), NOW, "account_closed"),
    (StartTransfer("many", "cold", Decimal(1_000)), NOW, "account_frozen"),
    (StartTransfer("many", "yen", Decimal(1_000)), NOW - timedelta(days=9), "effective_before_opening"),
    (StartTransfer("many", "yen", Decimal(1_000)), NOW, "currency_mismatch"),
    (StartTransfer("many", "bob", Decimal(1_000)), NOW, "too_many_holds"),
    (StartTransfer("held", "full", Decimal("60.01")), NOW, "insufficient_funds"),
    (SettleTransfer("t-0", "saga", "gone"), NOW, "transfer_not_found"),
    (SettleTransfer("t-done", "saga", "gone"), NOW, "transfer_ended"),
    (SettleTransfer("t-iced", "cold", "gone"), NOW, "account_closed"),
    (SettleTransfer("t-gone", "saga", "gone"), NOW, "account_closed"),
    (SettleTransfer("t-cold", "saga", "cold"), NOW, "account_frozen"),
    (SettleTransfer("t-full", "saga", "full"), NOW, "balance_too_large"),
    (FailTransfer("t-0", "saga", "account_frozen", ""), NOW, "transfer_not_found"),
    (FailTransfer("t-lost", "saga", "account_frozen", ""), NOW, "transfer_ended"),
    (CaptureHold("saga", "transfer:t-1", Decimal(0)), NOW, "amount_not_positive"),
    (CaptureHold("saga", "transfer:t-1", Decimal(50)), NOW, "hold_of_transfer"),
    (ReleaseHold("saga", "transfer:t-1"), NOW, "hold_of_transfer"),
    (ExpireHold("saga", "transfer:t-1"), NOW, "hold_not_expired"),
    (CloseAccount("saga"), NOW, "account_not_empty"),
]


@pytest.mark.parametrize(("command", "effective_at", "code"), REFUSALS)
def test_each_refusal_has_its_code_in_order_of_precedence(command: Command, effective_at: datetime, code: str) -> None:
    assert refusal_of(command, effective_at).code == code


def test_every_command_has_a_name_a_rule_and_a_refusal_in_the_table() -> None:
    from ledger.domain.decide import _RULES

    assert set(type_of) == set(_RULES) == {type(command) for command, _, _ in REFUSALS}
    assert len(EVENT_TYPES) == 16
