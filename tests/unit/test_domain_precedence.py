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
    Exchange,
    ExpireHold,
    FreezeAccount,
    Leg,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    RotateLogKey,
    SetOverdraftLimit,
    Transfer,
    UnfreezeAccount,
    Withdraw,
    type_of,
)
from ledger.domain.events import (
    EVENT_TYPES,
)
from tests.domain_books import NOW, refusal_of

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
    (RotateLogKey("log+1", "log+3", ""), NOW, "invalid_succession"),
    (RotateLogKey("log+2", "log+1", ""), NOW, "invalid_succession"),
]


@pytest.mark.parametrize(("command", "effective_at", "code"), REFUSALS)
def test_each_refusal_has_its_code_in_order_of_precedence(command: Command, effective_at: datetime, code: str) -> None:
    assert refusal_of(command, effective_at).code == code


def test_every_command_has_a_name_a_rule_and_a_refusal_in_the_table() -> None:
    from ledger.domain.decide import _RULES

    assert set(type_of) == set(_RULES) == {type(command) for command, _, _ in REFUSALS}
    assert len(EVENT_TYPES) == 11
