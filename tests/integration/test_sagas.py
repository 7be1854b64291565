"""Transfers in steps and reversals from end to end: by HTTP in, ended by the process manager, seen in the read model."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from ledger.engine.sagas import ACTOR, ProcessManager
from projections import rebuild
from projections.connection import read_model_connection
from projections.projection import by_name
from tests.api_world import get, new_id, ok, open_account, post, problem
from tests.integration.test_verify_ledger import faults
from tests.ledger_world import rows, table_sizes
from tests.proof_world import sign
from tests.read_world import (
    STOP_S_MAX,
    WRONG_BOOKS,
    order_everything,
    process,
    projector,
    read_model,
    relay,
    wait_until_applied,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")


def start(client: Client, source: str, target: str, amount: str = "30.00") -> str:
    body = {"from_account_id": source, "to_account_id": target, "amount": amount, "description": "rent"}
    answer = ok(post(client, "start-transfer", body), 201)
    assert [event["type"] for event in answer["events"]] == ["TransferStarted", "FundsHeld"]
    assert list(answer["balances"]) == [source], "the target is not touched"
    assert answer["transfer_id"] == answer["command_id"]
    return str(answer["transfer_id"])


def seen(client: Client, transfer_id: str) -> dict[str, Any]:
    """Return a transfer as the API shows it once everything that happened is in the read model."""
    order_everything()
    with projector():
        wait_until_applied()
    answer: dict[str, Any] = ok(get(client, f"transfers/{transfer_id}"))
    return answer


def types(transfer: dict[str, Any]) -> list[str]:
    return [event["type"] for event in transfer["events"]]


def test_the_state_and_the_steps_of_a_transfer_are_readable(operator: Client) -> None:
    source, target = open_account(operator, "100.00"), open_account(operator)
    transfer_id = start(operator, source, target)
    before = seen(operator, transfer_id)
    assert (before["kind"], before["status"], before["amount"], before["moved"]) == ("saga", "started", "30.00", "0.00")
    assert (before["from_account_id"], before["to_account_id"]) == (source, target)
    assert types(before) == ["TransferStarted", "FundsHeld"]
    assert_books_are_right()
    ProcessManager().work()
    after = seen(operator, transfer_id)
    assert (after["status"], after["moved"]) == ("completed", "30.00")
    assert types(after) == ["TransferStarted", "FundsHeld", "HoldCaptured", "MoneyDeposited", "TransferCompleted"]
    assert after["position"] == before["position"]
    assert [transfer["transfer_id"] for transfer in ok(get(operator, "transfers", kind="saga"))["transfers"]] == [
        transfer_id
    ]
    lines = read_model(
        "SELECT account_id, kind, amount_minor FROM transactions WHERE transfer_id = %s ORDER BY 3", transfer_id
    )
    assert lines == [(source, "transfer_out", -3_000), (target, "transfer_in", 3_000)]
    steps = ok(get(operator, "events", aggregate_id=f"transfer:{transfer_id}"))["events"]
    assert [(step["event_type"], step["state"]["status"]) for step in steps] == [
        ("TransferStarted", "started"), ("TransferCompleted", "completed")]  # fmt: skip
    assert steps[1]["metadata"]["causation_id"] == steps[0]["event_id"]
    assert steps[1]["metadata"]["correlation_id"] == transfer_id
    assert_books_are_right()


def refused(operator: Client) -> tuple[str, str]:
    """Start a transfer, have its target refuse it, and return its source and its id."""
    source, target = open_account(operator, "100.00"), open_account(operator)
    transfer_id = start(operator, source, target)
    ok(post(operator, "freeze-account", {"account_id": target}), 201)
    order_everything()
    ProcessManager().work()
    return source, transfer_id


def test_a_transfer_that_its_target_refuses_shows_why_and_gives_the_money_back(operator: Client) -> None:
    source, transfer_id = refused(operator)
    failed = seen(operator, transfer_id)
    assert (failed["status"], failed["moved"]) == ("failed", "0.00")
    assert types(failed) == ["TransferStarted", "FundsHeld", "HoldReleased", "TransferFailed"]
    assert failed["events"][-1]["code"] == "account_frozen"
    assert ok(get(operator, f"accounts/{source}"))["available"] == "100.00"
    assert rows("SELECT actor, code FROM refusals") == [(ACTOR, "account_frozen")]
    assert_books_are_right()


def test_what_a_transfer_reserved_is_nobody_elses(operator: Client) -> None:
    source, target = open_account(operator, "100.00"), open_account(operator)
    hold = {"account_id": source, "hold_id": f"transfer:{start(operator, source, target)}"}
    problem(post(operator, "capture-hold", hold), 422, "hold_of_transfer")
    problem(post(operator, "release-hold", hold), 422, "hold_of_transfer")
    problem(post(operator, "close-account", {"account_id": source}), 422, "account_not_empty")
    problem(post(operator, "withdraw", {"account_id": source, "amount": "70.01"}), 422, "insufficient_funds")


def test_a_start_is_refused_before_anything_is_reserved(operator: Client) -> None:
    source, euros = open_account(operator, "100.00"), open_account(operator, currency="EUR")
    body = {"from_account_id": source, "to_account_id": new_id(), "amount": "1"}
    before = table_sizes()
    problem(post(operator, "start-transfer", body), 404, "account_not_found")
    problem(post(operator, "start-transfer", {**body, "to_account_id": source}), 400, "same_account")
    problem(post(operator, "start-transfer", {**body, "to_account_id": "transfer:x"}), 400, "invalid_account_id")
    problem(post(operator, "settle-transfer", body), 404, "not_found")
    assert table_sizes() == before
    problem(post(operator, "start-transfer", {**body, "to_account_id": euros}), 422, "currency_mismatch")


def test_a_repeated_start_is_one_transfer(operator: Client) -> None:
    source, target = open_account(operator, "100.00"), open_account(operator)
    body = {"from_account_id": source, "to_account_id": target, "amount": "30"}
    first, again = (ok(post(operator, "start-transfer", body, Idempotency_Key="rent"), 201) for _ in range(2))
    assert (again["transfer_id"], again["replayed"]) == (first["transfer_id"], True)
    assert again["balances"][source]["held"] == "30.00"


def test_a_settled_transfer_is_reversed_and_its_row_says_so(operator: Client) -> None:
    source, target = open_account(operator, "100.00"), open_account(operator)
    transfer_id = start(operator, source, target)
    order_everything()
    ProcessManager().work()
    (event_id,) = (e["event_id"] for e in seen(operator, transfer_id)["events"] if e["type"] == "HoldCaptured")
    ok(post(operator, "reverse", {"event_id": event_id, "amount": "10", "reason": "too much"}), 201)
    part = seen(operator, transfer_id)
    assert (part["status"], types(part)[-3:]) == ("completed", ["MoneyDeposited", "MoneyWithdrawn", "CommandReversed"])
    ok(post(operator, "reverse", {"event_id": event_id, "reason": "all of it"}), 201)
    whole = seen(operator, transfer_id)
    assert (whole["status"], len(types(whole))) == ("reversed", 11)
    kinds = read_model("SELECT kind, count(*) FROM transactions WHERE account_id = %s GROUP BY 1 ORDER BY 1", target)
    assert kinds == [("reversal", 2), ("transfer_in", 1)]
    assert_books_are_right()


def test_a_transfer_in_steps_is_reversed_by_the_id_that_its_start_was_answered_with(operator: Client) -> None:
    """Once, in parts that are counted together, whichever of its ids is named."""
    source, target = open_account(operator, "100.00"), open_account(operator)
    transfer_id = start(operator, source, target)
    by_start = {"command_id": transfer_id, "reason": "mistaken"}
    problem(post(operator, "reverse", by_start, Idempotency_Key="early"), 400, "nothing_to_reverse")
    order_everything()
    ProcessManager().work()
    events = {e["type"]: e["event_id"] for e in seen(operator, transfer_id)["events"]}
    named = [by_start, *({"event_id": events[name], "reason": "mistaken"} for name in ("FundsHeld", "HoldCaptured"))]
    ok(post(operator, "reverse", {**by_start, "amount": "10"}, Idempotency_Key="early"), 201)
    for body in named[1:]:
        ok(post(operator, "reverse", {**body, "amount": "5"}), 201)
    for body in named:
        refused = problem(post(operator, "reverse", {**body, "amount": "10.01"}), 422, "reversal_exceeded")
        assert refused["left"] == "10.00"
    ok(post(operator, "reverse", by_start), 201)
    for body in named:
        problem(post(operator, "reverse", body), 422, "already_reversed")
    assert rows("SELECT count(DISTINCT aggregate_id), count(*) FROM events WHERE event_type = 'CommandReversed'") == [
        (1, 4)]  # fmt: skip
    assert (seen(operator, transfer_id)["status"], ok(get(operator, f"accounts/{source}"))["balance"]) == (
        "reversed", "100.00")  # fmt: skip
    assert_books_are_right()


def test_a_transfer_in_steps_that_failed_has_nothing_to_reverse(operator: Client) -> None:
    _, transfer_id = refused(operator)
    (event_id,) = (e["event_id"] for e in seen(operator, transfer_id)["events"] if e["type"] == "TransferFailed")
    for named in ({"command_id": transfer_id}, {"event_id": event_id}):
        problem(post(operator, "reverse", {**named, "reason": "mistaken"}), 400, "nothing_to_reverse")


def test_reversals_of_every_kind_leave_books_that_balance(operator: Client) -> None:
    one, other = open_account(operator, "100.00"), open_account(operator, "100.00")
    euros = open_account(operator, "100.00", "EUR")
    leg = {"account_id": one, "amount": "5"}
    commands = [
        ("deposit", leg), ("withdraw", leg), ("transfer", {"from_account_id": one, "to_account_id": other, "amount": "5"}),
        ("exchange", {"from_account_id": one, "to_account_id": euros, "amount": "5", "to_amount": "4"}),
        ("multi-transfer", {"sources": [leg], "targets": [{"account_id": other, "amount": "5"}]}),
    ]  # fmt: skip
    for command_type, body in commands:
        done = ok(post(operator, command_type, body), 201)
        ok(post(operator, "reverse", {"command_id": done["command_id"], "reason": "mistaken"}), 201)
    order_everything()
    with projector():
        wait_until_applied()
    assert read_model("SELECT DISTINCT status FROM transfers") == [("reversed",)]
    assert read_model("SELECT count(*) FROM parked_events") == [(0,)]
    assert [balance for (balance,) in read_model("SELECT balance_minor FROM accounts")] == [10_000] * 3
    assert_books_are_right()


def test_the_process_manager_ends_transfers_as_they_come(operator: Client) -> None:
    source, target = open_account(operator, "100.00"), open_account(operator)
    with relay(), process("run_sagas") as manager:
        transfer_ids = [start(operator, source, target, "1.00") for _ in range(5)]
        wait_for(
            lambda: rows("SELECT count(*) FROM events WHERE event_type = 'TransferCompleted'") == [(5,)],
            "five transfers completed",
        )
        manager.terminate()
        assert manager.wait(STOP_S_MAX) == 0
    assert {seen(operator, transfer_id)["status"] for transfer_id in transfer_ids} == {"completed"}


def assert_books_are_right() -> None:
    """The read model balances, is what a rebuild makes of the journal, and the log holds, every command of it."""
    for what, query in WRONG_BOOKS.items():
        assert read_model(query) == [], what
    for projection in map(by_name, ("transfers", "transactions")):
        with read_model_connection() as connection:
            rebuild.build(connection, projection, lambda *_: None)
            rebuild.switch(connection, projection, require_equal=True)
            rebuild.drop_previous(connection, projection)
    sign()
    assert faults(semantic=True) == []
