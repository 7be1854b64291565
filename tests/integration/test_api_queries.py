"""Accounts, statements and transfers over HTTP, from the read model."""

from __future__ import annotations

import json
import re
from uuid import uuid4

import pytest
from django.test import Client

from chronicle import urls
from tests.api_world import API, get, new_id, ok, post, problem
from tests.books_world import ADA, BOB, HEAD, KEN, Books

pytestmark = pytest.mark.usefixtures("database")


def test_an_account_is_what_its_history_made_it(books: Books) -> None:
    response = get(books.auditor, f"accounts/{ADA}")
    account = ok(response)
    assert response["Chronicle-Position"] == str(HEAD)
    opened_at, updated_at = account.pop("opened_at"), account.pop("updated_at")
    assert opened_at < updated_at
    assert account == {
        "account_id": ADA,
        "owner_name": "Ada",
        "balance": "500.00",
        "available": "500.00",
        "held": "0.00",
        "overdraft_limit": "0.00",
        "currency": "USD",
        "status": "active",
        "version": 5,
        "position": 9,
    }


def test_an_account_that_does_not_exist_is_not_found(books: Books) -> None:
    for path in ("accounts/nobody", "accounts/nobody/transactions"):
        assert problem(get(books.auditor, path), 404, "account_not_found")["account_id"] == "nobody"
    problem(get(books.auditor, "accounts/a b"), 400, "invalid_account_id")


def test_accounts_are_listed_in_the_order_of_their_ids(books: Books) -> None:
    answer = ok(get(books.auditor, "accounts"))
    assert [(account["account_id"], account["balance"]) for account in answer["accounts"]] == [
        (ADA, "500.00"),
        (BOB, "300.00"),
        (KEN, "1000"),
    ]
    assert (answer["total"], answer["next_after"]) == (3, None)


def test_pages_of_accounts_join_without_gap_or_overlap(books: Books) -> None:
    seen, after = [], ""
    while after is not None:
        page = ok(get(books.auditor, "accounts", limit=1, after=after))
        assert page["total"] == 3
        seen += [account["account_id"] for account in page["accounts"]]
        after = page["next_after"]
    assert seen == [ADA, BOB, KEN]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"search": "AD"}, [ADA, BOB, KEN]),  # the owner of all three is called Ada
        ({"search": "en"}, [KEN]),
        ({"search": "100%"}, []),
        ({"currency": "JPY"}, [KEN]),
        ({"currency": "USD", "search": "bo"}, [BOB]),
        ({"status": "active"}, [ADA, BOB, KEN]),
        ({"status": "frozen"}, []),
    ],
)
def test_accounts_are_found_by_id_owner_currency_and_status(
    books: Books, filters: dict[str, str], found: list[str]
) -> None:
    answer = ok(get(books.auditor, "accounts", **filters))
    assert [account["account_id"] for account in answer["accounts"]] == found
    assert answer["total"] == len(found)


def test_a_statement_has_a_line_for_every_movement_newest_first(books: Books) -> None:
    answer = ok(get(books.auditor, f"accounts/{ADA}/transactions"))
    assert answer["account_id"] == ADA
    assert answer["total"] == 4
    said = ("kind", "amount", "balance", "description")
    assert [tuple(line[name] for name in said) for line in answer["transactions"]] == [
        ("transfer_out", "-200.00", "500.00", "gift"),
        ("withdrawal", "-50.00", "700.00", "rent"),
        ("deposit", "250.00", "750.00", "salary"),
        ("deposit", "500.00", "500.00", "Initial balance"),
    ]
    assert answer["transactions"][0]["counter_account"] == BOB
    assert answer["transactions"][0]["transfer_id"] == books.transfer_id
    assert answer["transactions"][1]["counter_account"] == "external:USD"


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_of_a_statement_join_without_gap_or_overlap(books: Books, order: str) -> None:
    versions, after = [], None
    while True:
        parameters = {"limit": 3, "order": order, **({} if after is None else {"after": after})}
        page = ok(get(books.auditor, f"accounts/{ADA}/transactions", **parameters))
        versions += [line["version"] for line in page["transactions"]]
        if (after := page["next_after"]) is None:
            break
    assert versions == ([5, 4, 3, 2] if order == "newest" else [2, 3, 4, 5])


def test_a_transfer_names_both_sides_and_both_events(books: Books) -> None:
    transfer = ok(get(books.auditor, f"transfers/{books.transfer_id}"))
    assert (transfer["from_account_id"], transfer["to_account_id"], transfer["amount"]) == (ADA, BOB, "200.00")
    assert transfer["status"] == "completed"
    types = {event["type"]: event["event_id"] for event in transfer["events"]}
    for event_type, account_id in (("MoneyWithdrawn", ADA), ("MoneyDeposited", BOB)):
        assert ok(get(books.auditor, f"events/{types[event_type]}"))["aggregate_id"] == account_id


def test_a_transfer_that_was_never_made_is_not_found_at_once(books: Books) -> None:
    for transfer_id in (str(uuid4()), "nothing"):
        problem(get(books.auditor, f"transfers/{transfer_id}"), 404, "transfer_not_found")


def test_transfers_are_listed_for_either_side(books: Books) -> None:
    for filters, total in (({}, 1), ({"account_id": ADA}, 1), ({"account_id": BOB}, 1), ({"account_id": KEN}, 0)):
        answer = ok(get(books.auditor, "transfers", **filters))
        assert (len(answer["transfers"]), answer["total"]) == (total, total)


def test_currencies_come_with_their_decimals(books: Books) -> None:
    known = {entry["code"]: entry["decimals"] for entry in ok(get(books.auditor, "currencies"))["currencies"]}
    assert (known["USD"], known["JPY"], known["BHD"]) == (2, 0, 3)


def test_a_parameter_that_there_is_not_is_refused_and_named_by_every_query(books: Books) -> None:
    queries = [str(pattern.pattern) for pattern in urls._api if hasattr(pattern.callback.view_class, "get")]
    assert len(queries) > 10
    for query in queries:
        path = re.sub("<.*?>", str(uuid4()), query.replace("<str:account_id>", ADA))
        refused = problem(get(books.auditor, path, acount_id=ADA), 400, "invalid_parameter")
        assert refused["parameter"] == "acount_id"


def test_a_batch_that_is_to_be_tried_by_a_parameter_is_not_carried_out(
    operator: Client, nothing_is_written: None
) -> None:
    element = {"type": "create-account", "account_id": new_id(), "owner_name": "Ada", "currency": "USD"}
    body = json.dumps({"commands": [element]})
    answer = operator.post(f"{API}/commands/batch?dry_run=1", body, content_type="application/json")
    assert problem(answer, 400, "invalid_parameter")["parameter"] == "dry_run"
    problem(post(operator, "create-account?dry-run=1", {}), 400, "invalid_parameter")
