"""Fields that could never be right: each has its own code, and none leaves a trace in the event store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tests.api_world import new_id, post, problem
from tests.bad_input_world import ACCOUNT, money, moving, opening

pytestmark = pytest.mark.usefixtures("database", "nothing_is_written")


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
    "reversal:6a5b0b62-7f0e-4d4b-9d1c-3a5e0e3f3c11",
    "transfer:6a5b0b62-7f0e-4d4b-9d1c-3a5e0e3f3c11",
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
