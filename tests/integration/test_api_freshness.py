"""Read your writes: what was answered with 201 is in the next answer, or the caller is told that it is not yet."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from ledger.api import waiting
from projections.api import freshness
from tests.api_world import get, ok, open_account, post, problem
from tests.read_world import order_everything, projector, relay, wait_until_applied

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "WAIT_S", 0.1)
    monkeypatch.setattr(freshness, "ASKED_WAIT_S", 0.1)
    monkeypatch.setattr(waiting, "ASKED_WAIT_S", 0.1)


def test_every_write_is_in_the_next_read(operator: Client) -> None:
    with relay(), projector():
        account_id = open_account(operator)
        for number in range(1, 20):
            ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 201)
            assert ok(get(operator, f"accounts/{account_id}"))["balance"] == f"{number}.00"
            assert ok(get(operator, f"accounts/{account_id}/transactions"))["total"] == number


def test_a_transfer_that_was_just_made_is_found(operator: Client) -> None:
    with relay(), projector():
        source, target = open_account(operator, "10"), open_account(operator)
        body = {"from_account_id": source, "to_account_id": target, "amount": "1", "description": ""}
        for _ in range(5):
            transfer_id = ok(post(operator, "transfer", body), 201)["transfer_id"]
            assert ok(get(operator, f"transfers/{transfer_id}"))["from_account_id"] == source


def test_an_event_that_was_just_written_is_found_with_its_position(operator: Client) -> None:
    with relay():
        account_id = open_account(operator)
        answer = ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 201)
        assert ok(get(operator, f"events/{answer['event_id']}"))["position"] >= 1


@pytest.mark.usefixtures("_impatient")
def test_an_event_is_found_before_the_journal_has_ordered_it(operator: Client) -> None:
    account_id = open_account(operator)
    answer = ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 201)
    envelope = ok(get(operator, f"events/{answer['event_id']}"))
    assert (envelope["position"], envelope["running_hash"], envelope["version"]) == (None, None, 2)


@pytest.mark.usefixtures("_impatient")
def test_without_a_projector_a_new_account_is_not_there_yet(operator: Client) -> None:
    account_id = open_account(operator)
    for path in (f"accounts/{account_id}", f"accounts/{account_id}/transactions"):
        response = get(operator, path)
        assert problem(response, 503, "not_yet")["version"] == 0
        assert response["Retry-After"] == "1"


@pytest.mark.usefixtures("_impatient")
def test_without_a_projector_a_new_transfer_is_not_there_yet(operator: Client) -> None:
    source, target = open_account(operator, "10"), open_account(operator)
    body = {"from_account_id": source, "to_account_id": target, "amount": "1", "description": ""}
    transfer_id = ok(post(operator, "transfer", body), 201)["transfer_id"]
    problem(get(operator, f"transfers/{transfer_id}"), 503, "not_yet")


@pytest.mark.usefixtures("_impatient")
def test_a_projector_that_stands_still_leaves_an_answer_that_says_how_old_it_is(operator: Client) -> None:
    account_id = open_account(operator, "1")
    with projector():
        order_everything()
        wait_until_applied()
    ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 201)
    for path in (f"accounts/{account_id}", f"accounts/{account_id}/transactions"):
        response = get(operator, path)
        ok(response)
        assert response["Chronicle-Position"] == "2"
    assert ok(get(operator, f"accounts/{account_id}"))["version"] == 2
    # Who asks for the version gets it or is told.
    for path in (f"accounts/{account_id}", f"accounts/{account_id}/transactions"):
        ok(get(operator, path, min_version=2))
        asked = problem(get(operator, path, min_version=3), 503, "not_yet")
        assert (asked["version"], asked["min_version"]) == (2, 3)


def read_in_thread(client: Client, path: str, **parameters: Any) -> Any:
    try:
        return get(client, path, **parameters)
    finally:
        connections.close_all()  # this thread's own, which nobody else would close


def test_a_read_waits_for_a_projector_that_comes_back(operator: Client) -> None:
    account_id = open_account(operator, "1")
    with relay(), ThreadPoolExecutor(1) as executor:
        waiting: Any = executor.submit(read_in_thread, operator, f"accounts/{account_id}", min_version=2)
        with projector():
            assert ok(waiting.result())["balance"] == "1.00"


def test_a_version_nobody_has_of_an_account_nobody_has_is_not_found(operator: Client) -> None:
    problem(get(operator, "accounts/nobody", min_version=1), 404, "account_not_found")


@pytest.mark.usefixtures("_impatient")
def test_min_version_zero_does_not_conjure_up_an_account(operator: Client) -> None:
    account_id = open_account(operator)
    problem(get(operator, f"accounts/{account_id}", min_version=0), 503, "not_yet")


def queries(account_id: str, transfer_id: str, event_id: str) -> dict[str, dict[str, Any]]:
    """Return every query that reads the books, with what it needs."""
    instant = "2999-01-01T00:00:00Z"
    return {
        "accounts": {},
        f"accounts/{account_id}": {},
        f"accounts/{account_id}/transactions": {},
        f"accounts/{account_id}/balance-at": {"timestamp": instant},
        f"accounts/{account_id}/at": {"version": 1},
        "transfers": {},
        f"transfers/{transfer_id}": {},
        "trial-balance": {},
        "books": {},
        "books/difference": {"from": instant, "to": instant},
        "search": {"q": account_id},
        "events": {},
        f"events/{event_id}": {},
    }


@pytest.mark.usefixtures("_impatient")
def test_every_query_says_for_which_position_it_is_true_and_waits_for_the_one_asked_for(operator: Client) -> None:
    with relay(), projector():
        source, target = open_account(operator, "10"), open_account(operator)
        body = {"from_account_id": source, "to_account_id": target, "amount": "1", "description": "one"}
        moved = ok(post(operator, "transfer", body), 201)
        wait_until_applied(order_everything())
        wanted = queries(source, moved["transfer_id"], moved["event_id"])
        for path, parameters in wanted.items():
            response = get(operator, path, min_position=5, **parameters)
            assert (response.status_code, response["Chronicle-Position"]) == (200, "5"), path
        for path, parameters in wanted.items():
            response = get(operator, path, min_position=6, **parameters)
            asked = problem(response, 503, "not_yet")
            assert (asked["position"], asked["min_position"], response["Retry-After"]) == (5, 6, "1"), path
            problem(get(operator, path, min_position="five", **parameters), 400, "invalid_parameter")


def test_a_query_waits_for_a_position_that_is_on_its_way(operator: Client) -> None:
    account_id = open_account(operator, "1")
    for path in ("accounts", f"accounts/{account_id}/balance-at"):
        with relay(), ThreadPoolExecutor(1) as executor:
            timestamp = {"timestamp": "2999-01-01T00:00:00Z"} if path != "accounts" else {}
            waiting_for: Any = executor.submit(read_in_thread, operator, path, min_position=2, **timestamp)
            with projector():
                assert int(waiting_for.result()["Chronicle-Position"]) >= 2
