"""Of several faults the first in docs/errors.md is named: a request with all of them is mended one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from chronicle.roles import Role
from tests.api_world import API, client_with, new_id, ok, open_account, post
from tests.docs.test_errors import documented
from tests.ledger_world import table_sizes

pytestmark = pytest.mark.usefixtures("database")
FUTURE = "2999-01-01T00:00:00Z"


def mended(client: Client, command_type: str, key: str, steps: list[dict[str, Any]]) -> list[str]:
    """Send a command again after each step, which changes fields (None removes one); return what was answered."""
    body: dict[str, Any] = {}
    found = []
    for step in steps:
        key = step.pop("key", key)
        body = {name: value for name, value in {**body, **step}.items() if value is not None}
        answer = post(client, command_type, body, Idempotency_Key=key).json()
        found.append(answer.get("code", "accepted"))
    return found


def assert_in_the_order_of_the_document(found: list[str]) -> None:
    order = [code for code, _ in documented()]
    *faults, last = found
    assert last == "accepted"
    assert [order.index(code) for code in faults] == sorted({order.index(code) for code in faults}), found


def test_a_request_is_mended_until_its_body_is_read(operator: Client) -> None:
    address = f"{API}/commands/deposit"
    bad_token = Client(headers={"Authorization": "Token nonsense"})
    responses = [
        bad_token.post(address, "[", content_type="text/plain"),
        Client().post(address, "[", content_type="text/plain"),
        client_with(Role.AUDITOR).post(address, "[", content_type="text/plain"),
        operator.post(address, "[" * 100_000, content_type="text/plain"),
        post(operator, "deposit", "[" * 100_000, Idempotency_Key=" "),
        post(operator, "deposit", '{"a": 1, "a": 1', Idempotency_Key=" "),
        post(operator, "deposit", '{"a": [{"b": 1, "b": 2}]}', Idempotency_Key=" "),
        post(operator, "deposit", "[]", Idempotency_Key=" "),
        post(operator, "deposit", {"nonsense": 1}, Idempotency_Key=" "),
        post(operator, "deposit", {"account_id": open_account(operator), "amount": 1}),
    ]
    assert_in_the_order_of_the_document(
        [json.loads(response.content).get("code", "accepted") for response in responses]
    )


def test_a_deposit_is_mended_fault_by_fault(operator: Client) -> None:
    account_id, used = open_account(operator), new_id("key")
    ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}, Idempotency_Key=used), 201)
    found = mended(operator, "deposit", " ", [
        {"expected_version": 9, "effective_at": FUTURE, "nonsense": 1, "amount": "0.001"},
        {"key": used},
        {"nonsense": None},
        {"account_id": 7},
        {"account_id": "a b"},
        {"account_id": account_id},
        {"key": new_id("key")},
        {"expected_version": 2},
        {"effective_at": None},
        {"amount": "1"},
    ])  # fmt: skip
    assert len(found) == 10
    assert_in_the_order_of_the_document(found)


def test_a_transfer_is_mended_fault_by_fault(operator: Client) -> None:
    rich, yen = open_account(operator, "10"), open_account(operator, "5", "JPY")
    target = open_account(operator)
    before = table_sizes()
    found = mended(operator, "transfer", new_id("key"), [
        {"from_account_id": rich, "to_account_id": rich, "amount": "0"},
        {"amount": "11.001"},
        {"to_account_id": "nobody"},
        {"to_account_id": yen},
        {"amount": "11"},
        {"key": new_id("key"), "to_account_id": target},
        {"key": new_id("key"), "amount": "10"},
    ])  # fmt: skip
    assert len(found) == 7
    assert_in_the_order_of_the_document(found)
    assert table_sizes()["refusals"] == before["refusals"] + 2


def test_an_opening_is_mended_fault_by_fault(operator: Client) -> None:
    taken, body = open_account(operator), {"account_id": new_id()}
    found = mended(operator, "create-account", new_id("key"), [
        {},
        {"account_id": taken, "owner_name": "x" * 201, "currency": "ABC", "initial_balance": "x"},
        {"owner_name": "\n"},
        {"owner_name": "Ada"},
        {"currency": "USD"},
        {"initial_balance": "-1"},
        {"initial_balance": "0.001"},
        {"initial_balance": "1"},
        body,
    ])  # fmt: skip
    assert len(found) == 9
    assert_in_the_order_of_the_document(found)
