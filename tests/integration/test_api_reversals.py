"""Reversals over HTTP: how they are named, who may force one, and that a batch has no way around it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from chronicle.roles import Role
from tests.api_world import client_with, new_id, new_user, ok, open_account, post, problem
from tests.ledger_world import table_sizes

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def paid(operator: Client) -> dict[str, Any]:
    """The answer to a deposit of 10.00 into an empty account."""
    answer: dict[str, Any] = ok(
        post(operator, "deposit", {"account_id": open_account(operator), "amount": "10.00"}), 201
    )
    return answer


def account_of(paid: dict[str, Any]) -> str:
    account_id: str = paid["events"][0]["aggregate_id"]
    return account_id


def test_a_deposit_is_taken_back_by_event_or_by_command(operator: Client, paid: dict[str, Any]) -> None:
    part = ok(post(operator, "reverse", {"event_id": paid["event_id"], "amount": "4", "reason": "typing error"}), 201)
    assert [event["type"] for event in part["events"]] == ["MoneyWithdrawn", "CommandReversed"]
    assert part["balances"][account_of(paid)]["balance"] == "6.00"
    assert list(part["balances"]) == [account_of(paid)], "a reversal has no balance"
    rest = ok(post(operator, "reverse", {"command_id": paid["command_id"].upper(), "reason": "typing error"}), 201)
    assert rest["balances"][account_of(paid)]["balance"] == "0.00"
    again = {"command_id": paid["command_id"], "reason": "typing error"}
    problem(post(operator, "reverse", again), 422, "already_reversed")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_field"),
        ({"reason": "x"}, "missing_field"),
        ({"event_id": str(uuid4())}, "missing_field"),
        ({"event_id": str(uuid4()), "reason": " "}, "invalid_field"),
        ({"event_id": "x", "reason": "x"}, "invalid_field"),
        ({"command_id": 7, "reason": "x"}, "invalid_field"),
        ({"event_id": str(uuid4()), "command_id": str(uuid4()), "reason": "x"}, "invalid_field"),
        ({"event_id": str(uuid4()), "reason": "x", "force": "yes"}, "invalid_field"),
        ({"event_id": str(uuid4()), "reason": "x", "amount": 0}, "amount_not_positive"),
        ({"event_id": str(uuid4()), "reason": "x", "original": {}}, "unknown_field"),
    ],
)
def test_a_malformed_reversal_leaves_no_trace(operator: Client, body: dict[str, Any], code: str) -> None:
    before = table_sizes()
    problem(post(operator, "reverse", body), 400, code)
    assert table_sizes() == before


def test_what_never_was_is_not_found(operator: Client) -> None:
    problem(post(operator, "reverse", {"event_id": str(uuid4()), "reason": "x"}), 404, "original_not_found")


def test_only_an_administrator_forces_a_reversal(operator: Client, paid: dict[str, Any]) -> None:
    ok(post(operator, "withdraw", {"account_id": account_of(paid), "amount": "10.00"}), 201)
    body = {"command_id": paid["command_id"], "reason": "court order"}
    problem(post(operator, "reverse", body), 422, "insufficient_funds")
    before = table_sizes()
    problem(post(operator, "reverse", {**body, "force": True}), 403, "forbidden")
    assert table_sizes() == before
    administrator = client_with(Role.ADMINISTRATOR)
    problem(post(administrator, "reverse", {**body, "force": True, "reason": ""}), 400, "invalid_field")
    answer = ok(post(administrator, "reverse", {**body, "force": True}), 201)
    assert answer["balances"][account_of(paid)]["balance"] == "-10.00"


def test_a_session_of_an_administrator_may_force_too(operator: Client, paid: dict[str, Any]) -> None:
    body = {"command_id": paid["command_id"], "reason": "court order", "force": True}
    for role, status in ((Role.OPERATOR, 403), (Role.ADMINISTRATOR, 201)):
        client = Client()
        client.force_login(new_user(role))
        ok(post(client, "reverse", body), status)


def test_an_element_of_a_batch_is_held_to_the_same(operator: Client, paid: dict[str, Any]) -> None:
    element = {"type": "reverse", "command_id": paid["command_id"], "reason": "x"}
    forced = {**element, "force": True}
    answer = ok(post(operator, "batch", {"commands": [forced, element, element]}))
    codes = [outcome.get("code", "accepted") for outcome in answer["outcomes"]]
    assert codes == ["forbidden", "accepted", "already_reversed"]
    administrator = client_with(Role.ADMINISTRATOR)
    other = ok(post(operator, "deposit", {"account_id": account_of(paid), "amount": "1"}), 201)
    batch = {"commands": [{**forced, "command_id": other["command_id"], "idempotency_key": new_id("key")}]}
    assert ok(post(administrator, "batch", batch))["success"]
    assert ok(post(administrator, "batch", batch))["outcomes"][0]["replayed"]
