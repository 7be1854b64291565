"""A dry run answers what the command would have been answered, and writes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient, Client

from chronicle.roles import Role
from ledger.api.submissions import FORMS
from tests.api_world import API, JSON, client_with, new_id, new_token, new_user, ok, open_account, post, problem
from tests.ledger_world import history, table_sizes

pytestmark = pytest.mark.usefixtures("database")


def dry(client: Client, command_type: str, body: dict[str, Any], **headers: str) -> Any:
    return post(client, command_type, {**body, "dry_run": True}, **headers)


@pytest.mark.parametrize("how", ["body", "1", "true"])
def test_a_deposit_is_tried_with_the_balance_after_it_and_not_made(operator: Client, how: str) -> None:
    account_id = open_account(operator, "10")
    body = {"account_id": account_id, "amount": "2.50"}
    before = table_sizes()
    if how == "body":
        tried = ok(dry(operator, "deposit", body))
    else:
        tried = ok(operator.post(f"{API}/commands/deposit?dry_run={how}", body, content_type=JSON))
    assert table_sizes() == before
    done = ok(post(operator, "deposit", body), 201)
    assert tried.pop("dry_run") is True
    assert tried["balances"] == done["balances"] == {account_id: {"balance": "12.50", "held": "0.00", "currency": "USD", "status": "active", "version": 3}}  # fmt: skip
    assert [(e["type"], e["version"]) for e in tried["events"]] == [(e["type"], e["version"]) for e in done["events"]]
    assert tried.keys() == done.keys()


def test_a_dry_run_is_refused_as_the_command_would_be_and_no_refusal_is_recorded(operator: Client) -> None:
    account_id = open_account(operator, "10")
    too_much = {"account_id": account_id, "amount": "10.01"}
    before = table_sizes()
    tried = problem(dry(operator, "withdraw", too_much), 422, "insufficient_funds")
    problem(dry(operator, "withdraw", {**too_much, "account_id": new_id()}), 404, "account_not_found")
    problem(dry(operator, "withdraw", {**too_much, "amount": "0"}), 400, "amount_not_positive")
    problem(dry(operator, "withdraw", {**too_much, "expected_version": 1}), 409, "version_conflict")
    assert table_sizes() == before
    assert problem(post(operator, "withdraw", too_much), 422, "insufficient_funds") == tried


def test_a_dry_run_does_not_use_up_its_key(operator: Client) -> None:
    account_id, key = open_account(operator), new_id("key")
    body = {"account_id": account_id, "amount": "1"}
    assert ok(dry(operator, "deposit", body, Idempotency_Key=key))["replayed"] is False
    assert ok(post(operator, "deposit", body, Idempotency_Key=key), 201)["replayed"] is False
    # What it would be answered now is what it was answered then.
    replay = dry(operator, "deposit", body, Idempotency_Key=key)
    assert (ok(replay)["replayed"], replay["Idempotent-Replayed"]) == (True, "true")
    problem(dry(operator, "deposit", {**body, "amount": "2"}, Idempotency_Key=key), 409, "idempotency_key_reused")
    assert len(history(account_id)) == 2


@pytest.mark.parametrize("value", ["yes", 1, None, "true"])
def test_dry_run_in_a_body_is_true_or_false(operator: Client, value: object) -> None:
    body = {"account_id": open_account(operator), "amount": "1", "dry_run": value}
    assert problem(post(operator, "deposit", body), 400, "invalid_field")["field"] == "dry_run"


def test_false_means_false_and_anything_else_in_the_query_is_an_error(operator: Client) -> None:
    body = {"account_id": open_account(operator), "amount": "1"}
    ok(post(operator, "deposit", {**body, "dry_run": False}), 201)
    ok(operator.post(f"{API}/commands/deposit?dry_run=0", body, content_type=JSON), 201)
    problem(operator.post(f"{API}/commands/deposit?dry_run=no", body, content_type=JSON), 400, "invalid_parameter")


def test_within_a_batch_dry_run_is_the_batchs_and_not_an_elements(operator: Client) -> None:
    account_id = open_account(operator)
    element = {"type": "deposit", "account_id": account_id, "amount": "1"}
    before = table_sizes()
    tried = ok(post(operator, "batch", {"commands": [element, element], "dry_run": True}))
    assert (tried["success"], tried["dry_run"]) == (True, True)
    assert [o["balances"][account_id]["balance"] for o in tried["outcomes"]] == ["1.00", "2.00"]
    (refused,) = ok(post(operator, "batch", {"commands": [{**element, "dry_run": True}]}))["outcomes"]
    assert refused["code"] == "unknown_field"
    assert table_sizes() == before


def test_every_command_can_be_tried(operator: Client) -> None:
    for command_type in FORMS:
        # Each has an account, or says which field is missing: `dry_run` itself is never the unknown one.
        body = post(operator, command_type, {"dry_run": True}).json()
        assert (body["code"], body["status"]) == ("missing_field", 400), command_type


def test_an_auditor_may_not_even_try() -> None:
    auditor = client_with(Role.AUDITOR)
    problem(dry(auditor, "deposit", {"account_id": "acc", "amount": "1"}), 403, "forbidden")


def test_commands_that_are_meant_do_not_see_those_that_are_only_tried(operator: Client) -> None:
    """Many of both at once on one account: versions stay gapless, and the sum is that of what was meant."""
    account_id = open_account(operator, "100")
    token = new_token(new_user(Role.OPERATOR))

    async def send(client: AsyncClient, number: int) -> Any:
        body = {"account_id": account_id, "amount": "1", "dry_run": number % 2 == 0}
        headers = {"Authorization": f"Token {token}"}
        return await client.post(f"{API}/commands/withdraw", body, content_type=JSON, headers=headers)

    async def send_all() -> list[Any]:
        client = AsyncClient()
        return await asyncio.gather(*(send(client, number) for number in range(60)))

    answers = asyncio.run(send_all())
    assert [answer.status_code for answer in answers] == [200, 201] * 30
    versions = [version for version, *_ in history(account_id)]
    assert versions == list(range(1, 33))
    assert history(account_id)[-1][2] == 70_00
