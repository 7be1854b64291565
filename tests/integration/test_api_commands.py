"""Commands over HTTP: what is accepted, what is answered, and that a repeated request does nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from chronicle.roles import Role
from ledger.store.recorded import event_id_of
from tests.api_world import client_with, get, new_id, ok, open_account, post, problem
from tests.ledger_world import history, rows, scalar, table_sizes
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")


def balance_of(balance: str, *, version: int) -> dict[str, Any]:
    """Return what an answer says of an active account in US dollars without holds."""
    return {"balance": balance, "held": "0.00", "currency": "USD", "status": "active", "version": version}


def standing(balance: str, version: int) -> dict[str, Any]:
    return {"balance": balance, "held": "0.00", "currency": "USD", "status": "active", "version": version}


def test_creating_an_account_answers_with_its_two_events_and_the_balance(operator: Client) -> None:
    account_id = new_id()
    body = {"account_id": account_id, "owner_name": "Ada Lovelace", "currency": "USD", "initial_balance": "700.00"}
    answer = ok(post(operator, "create-account", body), 201)
    assert answer["success"] is True
    assert answer["replayed"] is False
    assert [(event["type"], event["aggregate_id"], event["version"]) for event in answer["events"]] == [
        ("AccountCreated", account_id, 1),
        ("MoneyDeposited", account_id, 2),
    ]
    assert answer["event_id"] == answer["events"][0]["event_id"] == str(event_id_of(UUID(answer["command_id"]), 0))
    assert answer["balances"] == {account_id: balance_of("700.00", version=2)}


def test_an_account_without_money_in_it_has_one_event(operator: Client) -> None:
    for missing_or_zero in ({}, {"initial_balance": 0}, {"initial_balance": "0.00"}):
        body = {"account_id": new_id(), "owner_name": "Ada", "currency": "JPY", **missing_or_zero}
        answer = ok(post(operator, "create-account", body), 201)
        assert [event["type"] for event in answer["events"]] == ["AccountCreated"]
        assert answer["balances"][body["account_id"]]["balance"] == "0"


def test_deposit_and_withdraw_change_the_balance_by_the_amount(operator: Client) -> None:
    account_id = open_account(operator, "100.00")
    deposit = ok(post(operator, "deposit", {"account_id": account_id, "amount": "50.25", "description": "pay"}), 201)
    assert [event["type"] for event in deposit["events"]] == ["MoneyDeposited"]
    assert deposit["balances"][account_id] == balance_of("150.25", version=3)
    withdraw = ok(post(operator, "withdraw", {"account_id": account_id, "amount": "0.25", "description": ""}), 201)
    assert [event["type"] for event in withdraw["events"]] == ["MoneyWithdrawn"]
    assert withdraw["balances"][account_id] == balance_of("150.00", version=4)


@pytest.mark.parametrize(
    ("amount", "balance"),
    [
        ('"0.10"', "0.10"),
        ("0.1", "0.10"),
        ("0.10000000000000000000000000000000000000000", "0.10"),
        ("1", "1.00"),
        ("1e2", "100.00"),
        ('"00012.5"', "12.50"),
        # As a binary float it would be 90071992547409.92.
        ("90071992547409.91", "90071992547409.91"),
    ],
)
def test_an_amount_means_what_was_written(operator: Client, amount: str, balance: str) -> None:
    account_id = open_account(operator)
    answer = ok(post(operator, "deposit", f'{{"account_id": "{account_id}", "amount": {amount}}}'), 201)
    assert answer["balances"][account_id]["balance"] == balance


def test_a_transfer_answers_with_both_events_and_both_balances(operator: Client) -> None:
    source, target = open_account(operator, "500.00"), open_account(operator)
    body = {"from_account_id": source, "to_account_id": target, "amount": "200.00", "description": "rent"}
    answer = ok(post(operator, "transfer", body), 201)
    assert answer["success"] is True
    assert [(event["type"], event["aggregate_id"]) for event in answer["events"]] == [
        ("MoneyWithdrawn", source),
        ("MoneyDeposited", target),
    ]
    assert {id_: held["balance"] for id_, held in answer["balances"].items()} == {source: "300.00", target: "200.00"}
    stored = {row[0] for row in rows("SELECT data->>'transfer_id' FROM events WHERE aggregate_id = %s", target)}
    assert answer["transfer_id"] in stored


def test_insufficient_funds_names_balance_and_required_and_is_recorded(operator: Client) -> None:
    account_id = open_account(operator, "50.00")
    before = table_sizes()
    body = {"account_id": account_id, "amount": "100", "description": "too much"}
    refusal = problem(post(operator, "withdraw", body), 422, "insufficient_funds")
    assert (refusal["balance"], refusal["required"], refusal["currency"]) == ("50.00", "100.00", "USD")
    on_record = {table: before[table] + 1 for table in ("refusals", "idempotency_keys")}
    assert table_sizes() == before | on_record, "the refusal, and its answer under the command's own id"
    actor, command = rows("SELECT actor, command FROM refusals ORDER BY recorded_at DESC LIMIT 1")[0]
    assert actor.startswith("user-")
    assert command["amount"] == "100"


def test_a_command_is_written_under_the_name_of_its_caller(operator: Client) -> None:
    account_id = open_account(operator)
    actor = scalar("SELECT metadata->>'actor' FROM events WHERE aggregate_id = %s", account_id)
    assert actor.startswith("user-")


@pytest.mark.parametrize("amount", ['"5.00"', "5", "5.0"])
def test_a_repeated_request_gets_the_first_answer_and_nothing_happens(operator: Client, amount: str) -> None:
    account_id, key = open_account(operator), new_id("key")
    first = post(operator, "deposit", {"account_id": account_id, "amount": "5.00"}, Idempotency_Key=key)
    assert "Idempotent-Replayed" not in first
    ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 201)
    before = table_sizes()
    again = post(operator, "deposit", f'{{"amount": {amount}, "account_id": "{account_id}"}}', Idempotency_Key=key)
    assert again["Idempotent-Replayed"] == "true"
    assert ok(again, 201) == {**ok(first, 201), "replayed": True}
    assert table_sizes() == before


def test_a_repeated_transfer_names_the_same_transfer(operator: Client) -> None:
    source, target, key = open_account(operator, "10"), open_account(operator), new_id("key")
    body = {"from_account_id": source, "to_account_id": target, "amount": "1", "description": ""}
    first, again = (ok(post(operator, "transfer", body, Idempotency_Key=key), 201) for _ in range(2))
    assert again == {**first, "replayed": True}


def test_a_repeated_refusal_is_refused_the_same_way_even_when_the_money_is_there_by_then(operator: Client) -> None:
    account_id, key = open_account(operator, "1"), new_id("key")
    body = {"account_id": account_id, "amount": "5", "description": ""}
    first = problem(post(operator, "withdraw", body, Idempotency_Key=key), 422, "insufficient_funds")
    ok(post(operator, "deposit", {"account_id": account_id, "amount": "100"}), 201)
    again = post(operator, "withdraw", body, Idempotency_Key=key)
    assert again["Idempotent-Replayed"] == "true"
    assert problem(again, 422, "insufficient_funds") == {**first, "replayed": True}


def test_a_key_belongs_to_one_request(operator: Client) -> None:
    account_id, key = open_account(operator), new_id("key")
    ok(post(operator, "deposit", {"account_id": account_id, "amount": "5"}, Idempotency_Key=key), 201)
    before = table_sizes()
    for other in (
        {"account_id": account_id, "amount": "6"},
        {"account_id": account_id, "amount": "5", "description": "x"},
    ):
        response = post(operator, "deposit", other, Idempotency_Key=key)
        assert problem(response, 409, "idempotency_key_reused")["idempotency_key"] == key
    problem(
        post(operator, "withdraw", {"account_id": account_id, "amount": "5"}, Idempotency_Key=key),
        409,
        "idempotency_key_reused",
    )
    assert table_sizes() == before


def test_two_callers_may_choose_the_same_key(operator: Client) -> None:
    account_id, key = open_account(operator), new_id("key")
    for client in (operator, client_with(Role.OPERATOR)):
        answer = post(client, "deposit", {"account_id": account_id, "amount": "5"}, Idempotency_Key=key)
        assert ok(answer, 201)["replayed"] is False


def test_a_command_decided_on_an_old_version_is_a_conflict(operator: Client) -> None:
    account_id = open_account(operator, "1")
    before = table_sizes()
    body: dict[str, Any] = {"account_id": account_id, "amount": "1", "expected_version": 1}
    conflict = problem(post(operator, "deposit", body), 409, "version_conflict")
    assert (conflict["version"], conflict["expected_version"]) == (2, 1)
    assert table_sizes() == before
    assert ok(post(operator, "deposit", {**body, "expected_version": 2}), 201)["events"][0]["version"] == 3


def test_money_may_count_from_an_earlier_day(operator: Client) -> None:
    account_id = open_account(operator)
    (opened_at,) = rows("SELECT recorded_at FROM events WHERE aggregate_id = %s", account_id)[0]
    earlier = opened_at + timedelta(microseconds=1)
    for text in (earlier.isoformat(), earlier.astimezone(UTC).isoformat().replace("+00:00", "Z")):
        body = {"account_id": account_id, "amount": "1", "effective_at": text}
        answer = ok(post(operator, "deposit", body), 201)
        assert datetime.fromisoformat(answer["effective_at"]) == earlier
        assert answer["recorded_at"] > answer["effective_at"]


def test_money_that_counts_from_before_the_account_was_opened_is_refused(operator: Client) -> None:
    body = {"account_id": open_account(operator), "amount": "1", "effective_at": "2001-01-01T00:00:00+02:00"}
    problem(post(operator, "deposit", body), 422, "effective_before_opening")


def test_an_address_that_ends_in_a_slash_is_the_same_one(operator: Client) -> None:
    account_id = open_account(operator)
    ok(post(operator, "deposit/", {"account_id": account_id, "amount": "5"}), 201)
    assert [event[1] for event in history(account_id)] == ["AccountCreated", "MoneyDeposited"]


def test_text_may_be_in_any_script(operator: Client) -> None:
    account_id = new_id()
    owner_name = "Zoë 山田 אבי 🏦 O'Brien; DROP TABLE events"
    body = {"account_id": account_id, "owner_name": owner_name, "currency": "USD"}
    ok(post(operator, "create-account", body), 201)
    event_id = scalar("SELECT event_id FROM events WHERE aggregate_id = %s", account_id)
    assert ok(get(operator, f"events/{event_id}"))["data"]["owner_name"] == owner_name


def test_closing_an_account_is_about_none_of_the_holds_that_it_releases(operator: Client) -> None:
    account_id = open_account(operator)
    ok(post(operator, "set-overdraft-limit", {"account_id": account_id, "limit": "10"}), 201)
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    hold = {"account_id": account_id, "amount": "1", "expires_at": expires_at.isoformat()}
    held = ok(post(operator, "place-hold", hold), 201)
    assert held["hold_id"] == held["command_id"]
    wait_for(lambda: datetime.now(UTC) > expires_at, "the deadline")
    closed = ok(post(operator, "close-account", {"account_id": account_id}), 201)
    assert [event["type"] for event in closed["events"]] == ["HoldReleased", "AccountClosed"]
    assert "hold_id" not in closed
