"""Requests that could never be right: each has its own code, and none leaves a trace in the event store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from chronicle.roles import Role
from ledger.api.body import BODY_BYTES_MAX
from tests.api_world import API, client_with, new_id, open_account, post, problem
from tests.ledger_world import table_sizes

pytestmark = pytest.mark.usefixtures("database", "nothing_is_written")
ACCOUNT, OTHER = new_id(), new_id()


@pytest.fixture(scope="module")
def operator(django_db_setup: None, django_db_blocker: Any) -> Iterator[Client]:
    with django_db_blocker.unblock():
        client = client_with(Role.OPERATOR)
        for account_id in (ACCOUNT, OTHER):
            open_account(client, "10.00", account_id=account_id)
        yield client


@pytest.fixture
def nothing_is_written(operator: Client) -> Iterator[None]:
    before = table_sizes()
    yield
    assert table_sizes() == before


def opening(**changes: Any) -> dict[str, Any]:
    return {"account_id": new_id(), "owner_name": "Ada", "currency": "USD", "initial_balance": "10.00", **changes}


def money(**changes: Any) -> dict[str, Any]:
    return {"account_id": ACCOUNT, "amount": "1.00", "description": "pay", **changes}


def moving(**changes: Any) -> dict[str, Any]:
    return {"from_account_id": ACCOUNT, "to_account_id": OTHER, "amount": "1.00", "description": "pay", **changes}


BODIES = {
    "nothing": ("", "invalid_json"),
    "half an object": ('{"account_id": ', "invalid_json"),
    "two objects": ("{}{}", "invalid_json"),
    "single quotes": ("{'account_id': 'a'}", "invalid_json"),
    "a comment": ('{"account_id": "a"} // a', "invalid_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "invalid_json"),
    "not UTF-8": (b'{"account_id": "\xff"}', "invalid_json"),
    "a raw null byte": (b'{"account_id": "a\x00b"}', "invalid_json"),
    "NaN": ('{"account_id": "a", "amount": NaN}', "invalid_json"),
    "Infinity": ('{"account_id": "a", "amount": -Infinity}', "invalid_json"),
    "an exponent beyond measure": ('{"account_id": "a", "amount": 1e99999999999999999999}', "invalid_json"),
    "deep nesting": ("[" * 30_000, "invalid_json"),
    "a list": ("[]", "body_not_object"),
    "a string": ('"deposit"', "body_not_object"),
    "null": ("null", "body_not_object"),
    "a key twice": ('{"account_id": "a", "amount": "1", "amount": "2"}', "duplicate_key"),
    "a key twice, deeper": ('{"x": [{"a": 1, "a": 1}]}', "duplicate_key"),
    "10,000 keys and one twice": ("{" + ",".join(f'"{n:x}":1' for n in [*range(7_000), 6_999]) + "}", "duplicate_key"),
}


@pytest.mark.parametrize(("body", "code"), BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_clear_json_object_is_malformed(operator: Client, body: Any, code: str) -> None:
    problem(post(operator, "deposit", body, Idempotency_Key=new_id("key")), 400, code)


def test_a_body_beyond_the_limit_is_too_large(operator: Client) -> None:
    body = json.dumps(money(description="x" * BODY_BYTES_MAX))
    assert problem(post(operator, "deposit", body), 413, "body_too_large")["bytes_max"] == BODY_BYTES_MAX


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_taken(operator: Client, content_type: str) -> None:
    response = operator.post(f"{API}/commands/deposit", json.dumps(money()), content_type=content_type)
    problem(response, 415, "unsupported_media_type")


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


ACCOUNT_IDS = [
    "",
    "a b",
    "a/b",
    "a?b",
    "ä",
    "a\x00",
    "a\n",
    "\ud800",
    "-" * 65,
    ".",
    "..",
    "external:USD",
    "a%2fb",
    "a'--",
]


@pytest.mark.parametrize("account_id", ACCOUNT_IDS)
def test_an_id_of_other_characters_or_length_is_no_account_id(operator: Client, account_id: str) -> None:
    problem(post(operator, "create-account", opening(account_id=account_id)), 400, "invalid_account_id")
    problem(post(operator, "deposit", money(account_id=account_id)), 400, "invalid_account_id")
    named = problem(post(operator, "transfer", moving(to_account_id=account_id)), 400, "invalid_account_id")
    assert named["field"] == "to_account_id"


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}], ids=str)
@pytest.mark.parametrize("field", ["account_id", "description", "effective_at", "expected_version"])
def test_a_value_of_another_type_is_an_invalid_field(operator: Client, field: str, value: Any) -> None:
    if field == "expected_version" and value == 1 and value is not True:
        value = "1"
    code = "invalid_instant" if field == "effective_at" and value is not None else "invalid_field"
    assert problem(post(operator, "deposit", money(**{field: value})), 400, code)["field"] == field


@pytest.mark.parametrize("version", [-1, 2**53, 10**30])
def test_a_version_is_a_number_that_a_version_can_be(operator: Client, version: int) -> None:
    problem(post(operator, "deposit", money(expected_version=version)), 400, "invalid_field")


@pytest.mark.parametrize(
    ("command_type", "body", "field"),
    [
        ("create-account", opening(), "account_id"),
        ("create-account", opening(), "owner_name"),
        ("create-account", opening(), "currency"),
        ("deposit", money(), "account_id"),
        ("withdraw", money(), "amount"),
        ("transfer", moving(), "from_account_id"),
        ("transfer", moving(), "to_account_id"),
        ("transfer", moving(), "amount"),
    ],
)
def test_a_field_that_is_missing_is_named(operator: Client, command_type: str, body: Any, field: str) -> None:
    incomplete = {name: value for name, value in body.items() if name != field}
    assert problem(post(operator, command_type, incomplete), 400, "missing_field")["field"] == field


@pytest.mark.parametrize(
    ("command_type", "body", "field"),
    [
        ("deposit", money(ammount="2"), "ammount"),
        ("deposit", money(version=3), "version"),
        ("transfer", moving(transfer_id="mine"), "transfer_id"),
        ("transfer", moving(expected_version=1), "expected_version"),
        ("create-account", opening(overdraft_limit="5"), "overdraft_limit"),
    ],
)
def test_a_field_the_command_does_not_have_is_a_misspelling(
    operator: Client, command_type: str, body: Any, field: str
) -> None:
    refused = problem(post(operator, command_type, body), 400, "unknown_field")
    assert refused["field"] == field
    assert field not in refused["fields"]


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "DOLLAR", "\x00", "US\ud800"])
def test_a_currency_the_ledger_does_not_know_is_refused(operator: Client, currency: str) -> None:
    problem(post(operator, "create-account", opening(currency=currency)), 400, "unknown_currency")


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\tb", "\x7f", "\x9f", "\ud800", "a\udfffb", "\u202eeno"])
def test_text_with_characters_that_deceive_or_break_is_refused(operator: Client, text: str) -> None:
    refused = problem(post(operator, "create-account", opening(owner_name=text)), 400, "invalid_characters")
    assert refused["field"] == "owner_name"
    problem(post(operator, "deposit", money(description=text)), 400, "invalid_characters")


def test_text_has_a_length_limit_counted_in_characters(operator: Client) -> None:
    problem(post(operator, "create-account", opening(owner_name="é" * 201)), 400, "text_too_long")
    problem(post(operator, "deposit", money(description="é" * 501)), 400, "text_too_long")
    problem(post(operator, "create-account", opening(owner_name=" ")), 400, "invalid_field")


INSTANTS = [
    "",
    "now",
    "2026-01-01",
    "2026-01-01T00:00:00",  # without an offset
    "2026-01-01T00:00Z",
    "20260101T000000Z",
    "2026-W01-1T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:01Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00.1234567Z",  # would be rounded
    "2026-01-01T00:00:00+2",
    "0001-01-01T00:00:00+01:00",  # before the calendar
    "9999-12-31T23:59:59-01:00",  # after it
    "2026-01-01T00:00:00Z\x00",
]


@pytest.mark.parametrize("text", INSTANTS)
def test_an_instant_is_rfc_3339_with_an_offset(operator: Client, text: str) -> None:
    problem(post(operator, "deposit", money(effective_at=text)), 400, "invalid_instant")


def test_money_cannot_count_from_the_future(operator: Client) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    problem(post(operator, "deposit", money(effective_at=tomorrow)), 400, "effective_at_in_future")


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a" * 256, "a\tb", "\x7f"])
def test_an_idempotency_key_is_visible_ascii_of_bounded_length(operator: Client, key: str) -> None:
    problem(post(operator, "deposit", money(), Idempotency_Key=key), 400, "invalid_idempotency_key")


def test_a_transfer_needs_two_accounts(operator: Client) -> None:
    problem(post(operator, "transfer", moving(to_account_id=ACCOUNT)), 400, "same_account")


@pytest.mark.parametrize(
    ("command_type", "body"),
    [
        ("deposit", money(account_id="nobody")),
        ("withdraw", money(account_id="nobody")),
        ("transfer", moving(from_account_id="nobody")),
        ("transfer", moving(to_account_id="nobody")),
    ],
)
def test_an_unknown_account_is_not_found_and_no_key_is_kept(operator: Client, command_type: str, body: Any) -> None:
    response = post(operator, command_type, body, Idempotency_Key=new_id("key"))
    assert problem(response, 404, "account_not_found")["account_id"] == "nobody"


def test_an_account_is_created_once(operator: Client) -> None:
    problem(post(operator, "create-account", opening(account_id=ACCOUNT)), 409, "account_exists")


def test_a_reused_key_with_an_enormous_amount_is_answered_at_once(operator: Client) -> None:
    body = f'{{"account_id": "{ACCOUNT}", "amount": 1e999999999}}'
    for _ in range(2):
        problem(post(operator, "deposit", body, Idempotency_Key="the-same"), 400, "amount_too_large")
