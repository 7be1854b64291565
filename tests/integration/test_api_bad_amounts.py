"""Amounts that are none: each has its own code, is answered at once, and leaves no trace in the event store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.api_world import new_id, post, problem
from tests.bad_input_world import ACCOUNT, money, moving, opening

pytestmark = pytest.mark.usefixtures("database", "nothing_is_written")


AMOUNTS: dict[str, tuple[Any, str]] = {
    "true": (True, "invalid_amount"),
    "a list": ([1], "invalid_amount"),
    "an object": ({"value": 1}, "invalid_amount"),
    "null": (None, "invalid_field"),
    "empty": ("", "invalid_amount"),
    "a word": ("ten", "invalid_amount"),
    "NaN as text": ("NaN", "invalid_amount"),
    "infinity as text": ("Infinity", "invalid_amount"),
    "an exponent as text": ("1e3", "invalid_amount"),
    "a thousands separator": ("1,000.00", "invalid_amount"),
    "a plus": ("+1", "invalid_amount"),
    "spaces": (" 1 ", "invalid_amount"),
    "a line feed": ("1\n", "invalid_amount"),
    "another script's digits": ("१२", "invalid_amount"),
    "a fraction without its whole": (".5", "invalid_amount"),
    "an underscore": ("1_000", "invalid_amount"),
    "hexadecimal": ("0x10", "invalid_amount"),
    "half a character": ("\ud800", "invalid_amount"),
    "a null byte": ("1\x00", "invalid_amount"),
    "negative": ("-1", "amount_not_positive"),
    "negative and enormous": ("-" + "9" * 40, "amount_not_positive"),
    "zero": ("0", "amount_not_positive"),
    "zero as a number": (0, "amount_not_positive"),
    "minus zero": ("-0.00", "amount_not_positive"),
    "three decimals": ("1.001", "too_many_decimals"),
    "three decimals as a number": (1.001, "too_many_decimals"),
    "very many decimals": ("0." + "0" * 40 + "1", "too_many_decimals"),
    "one cent more than the ledger holds": ("90071992547409.92", "amount_too_large"),
    "over 10^30": ("1" + "0" * 31, "amount_too_large"),
    "over 10^30 as a number": (10**31, "amount_too_large"),
    "a number of 5,000 digits": (int("9" * 4_000) * 10**1_000, "amount_too_large"),
    "a text of 5,000 digits": ("9" * 5_000, "amount_too_large"),
}
RAW_AMOUNTS = {
    "1e400000": "amount_too_large",
    "1E+999999999": "amount_too_large",
    "-1e400000": "amount_not_positive",
    "0e400000": "amount_not_positive",
    "1e-400000": "too_many_decimals",
    "1e-3": "too_many_decimals",
    "0.000000000000000000000000000000000000000000000000000000000000000000000001": "too_many_decimals",
}


@pytest.mark.parametrize(("amount", "code"), AMOUNTS.values(), ids=AMOUNTS.keys())
@pytest.mark.parametrize("command_type", ["deposit", "withdraw", "transfer"])
def test_a_bad_amount_is_named_as_what_it_is(operator: Client, command_type: str, amount: Any, code: str) -> None:
    body = moving(amount=amount) if command_type == "transfer" else money(amount=amount)
    raw = _dumps(body)
    problem(post(operator, command_type, raw, Idempotency_Key=new_id("key")), 400, code)


def _dumps(body: dict[str, Any]) -> str:
    """Write JSON, also with an integer that Python would rather not turn into digits."""
    amount = body["amount"]
    if isinstance(amount, int) and not isinstance(amount, bool) and amount.bit_length() > 10_000:
        return json.dumps({**body, "amount": "HERE"}).replace('"HERE"', "9" * 5_000)
    return json.dumps(body)


@pytest.mark.parametrize(("amount", "code"), RAW_AMOUNTS.items())
def test_a_number_of_any_exponent_is_answered_at_once(operator: Client, amount: str, code: str) -> None:
    body = f'{{"account_id": "{ACCOUNT}", "amount": {amount}}}'
    problem(post(operator, "deposit", body, Idempotency_Key=new_id("key")), 400, code)


def test_an_opening_balance_may_be_zero_but_not_less(operator: Client) -> None:
    problem(post(operator, "create-account", opening(initial_balance="-0.01")), 400, "amount_not_positive")
    problem(post(operator, "create-account", opening(currency="JPY", initial_balance="0.5")), 400, "too_many_decimals")


def test_a_reused_key_with_an_enormous_amount_is_answered_at_once(operator: Client) -> None:
    body = f'{{"account_id": "{ACCOUNT}", "amount": 1e999999999}}'
    for _ in range(2):
        problem(post(operator, "deposit", body, Idempotency_Key="the-same"), 400, "amount_too_large")
