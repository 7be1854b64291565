"""Search over HTTP: owners and descriptions by any part, ids by their beginning."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.commands import CreateAccount, Deposit, Withdraw
from projections import finding
from tests.api_world import get, ok, problem
from tests.books_world import ADA, BOB, HEAD, Books
from tests.read_world import order_everything, projector, submit, wait_until_applied

pytestmark = pytest.mark.usefixtures("database")


def hits(books: Books, q: str, **parameters: Any) -> list[tuple[str, str]]:
    return [(hit["kind"], hit["account_id"]) for hit in ok(get(books.auditor, "search", q=q, **parameters))["hits"]]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("ADA", {("account", ADA), ("account", BOB), ("account", "ken")}),  # the owner of all three is called Ada
        ("bob", {("account", BOB)}),
        ("alar", {("transaction", ADA)}),
        ("GIFT", {("transaction", ADA), ("transaction", BOB)}),
        ("nothing like it", set()),
        ("100%", set()),
        ("___", set()),
    ],
)
def test_owners_ids_and_descriptions_are_found_by_any_part(books: Books, q: str, expected: set[Any]) -> None:
    assert set(hits(books, q)) == expected


def test_the_answer_says_for_which_position_it_is_true(books: Books) -> None:
    response = get(books.auditor, "search", q="gift", min_position=HEAD)
    assert response["Chronicle-Position"] == str(HEAD)
    newest = ok(response)["hits"][0]
    assert (newest["text"], newest["position"]) == ("gift", HEAD)


@pytest.mark.parametrize("digits", [8, 9, 13, 18, 20, 36])
def test_transfers_and_events_are_found_by_the_beginning_of_their_id(books: Books, digits: int) -> None:
    found = ok(get(books.auditor, "search", q=books.transfer_id[:digits].upper()))["hits"]
    assert [(hit["kind"], hit["id"]) for hit in found] == [("transfer", books.transfer_id)]
    event_id = ok(get(books.auditor, "events", after=6, limit=1))["events"][0]["event_id"]
    assert [(hit["kind"], hit["id"]) for hit in ok(get(books.auditor, "search", q=event_id[:digits]))["hits"]] == [
        ("event", event_id)
    ]


def test_an_event_that_moved_nothing_is_found_by_its_whole_id(books: Books) -> None:
    created = ok(get(books.auditor, "events", limit=1))["events"][0]
    (hit,) = ok(get(books.auditor, "search", q=created["event_id"]))["hits"]
    assert (hit["kind"], hit["account_id"], hit["text"], hit["position"]) == ("event", ADA, "AccountCreated", 1)


def test_one_kind_is_found_alone_and_a_limit_says_that_there_is_more(books: Books) -> None:
    assert hits(books, "ada", kind="transaction") == []
    answer = ok(get(books.auditor, "search", q="ada", limit=1))
    assert (len(answer["hits"]), answer["has_more"]) == (1, True)
    assert ok(get(books.auditor, "search", q="ada", limit=3))["has_more"] is False


@pytest.mark.parametrize("parameters", [{}, {"q": "ab"}, {"q": "abc", "kind": "owner"}, {"q": "a\x00bc"}])
def test_a_search_for_too_little_is_malformed(books: Books, parameters: dict[str, str]) -> None:
    problem(get(books.auditor, "search", **parameters), 400, "invalid_parameter")


@pytest.mark.usefixtures("clean_stores")
def test_the_newest_lines_of_a_description_come_first_whenever_it_was_first_said() -> None:
    submit(CreateAccount("acc", "Owner", "USD", Decimal(100)), Deposit("acc", Decimal(1), "rent a"))
    submit(Withdraw("acc", Decimal(1), "rent b"), Deposit("acc", Decimal(1), "rent a"))
    order_everything()
    with projector():
        wait_until_applied()
    found = finding.find("rent", (finding.TRANSACTION,), 2)
    assert [hit.text for hit in found.hits] == ["rent a", "rent b"]
    assert found.has_more
