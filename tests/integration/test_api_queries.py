"""Queries over HTTP against books with a known history, kept up to date by a running relay and projector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from chronicle.roles import Role
from ledger.domain.instants import format_instant, parse_instant
from tests.api_world import API, client_with, get, ok, open_account, post, problem
from tests.clean import empty_everything
from tests.ledger_world import rows
from tests.read_world import projector, relay, wait_until_applied
from tests.servers import Servers
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")
ADA, BOB, KEN = "ada", "bob", "ken"


@dataclass
class Books:
    """Ada: 500.00 + 250.00 - 50.00 - 200.00 to Bob. Bob: 100.00 + 200.00. Ken: 1000 yen."""

    auditor: Client
    operator: Client
    transfer_id: str


@pytest.fixture(scope="module")
def books(django_db_setup: None, django_db_blocker: Any, stack: Servers) -> Iterator[Books]:
    with django_db_blocker.unblock():
        empty_everything(stack)
        with relay(), projector():
            operator = client_with(Role.OPERATOR)
            open_account(operator, "500.00", account_id=ADA)
            open_account(operator, "100.00", account_id=BOB)
            open_account(operator, "1000", currency="JPY", account_id=KEN)
            ok(post(operator, "deposit", {"account_id": ADA, "amount": "250.00", "description": "salary"}), 201)
            ok(post(operator, "withdraw", {"account_id": ADA, "amount": "50.00", "description": "rent"}), 201)
            moved = {"from_account_id": ADA, "to_account_id": BOB, "amount": "200.00", "description": "gift"}
            transfer_id = ok(post(operator, "transfer", moved), 201)["transfer_id"]
            wait_until_applied()
            yield Books(client_with(Role.AUDITOR), operator, transfer_id)
        empty_everything(stack)


HEAD = 10  # positions that this history takes


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


def test_events_come_in_position_order_with_everything_that_proves_them(books: Books) -> None:
    response = get(books.auditor, "events")
    answer = ok(response)
    assert [event["position"] for event in answer["events"]] == list(range(1, HEAD + 1))
    assert answer["total"] == HEAD
    assert response["Chronicle-Position"] == str(HEAD)
    first = answer["events"][0]
    assert (first["event_type"], first["aggregate_id"], first["version"]) == ("AccountCreated", ADA, 1)
    assert first["metadata"]["actor"].startswith("user-")
    assert len(first["hash"]) == 64
    assert first["data"] == {"owner_name": "Ada", "currency": "USD"}


@pytest.mark.parametrize(
    ("filters", "positions"),
    [
        ({"aggregate_id": BOB}, [3, 4, 10]),
        ({"event_type": "MoneyWithdrawn"}, [8, 9]),
        ({"aggregate_id": ADA, "event_type": "MoneyDeposited"}, [2, 7]),
        ({"aggregate_id": "nobody"}, []),
        ({"event_type": "Nothing"}, []),
    ],
)
def test_events_are_found_by_aggregate_and_type(books: Books, filters: dict[str, str], positions: list[int]) -> None:
    seen, after = [], 0
    while after is not None:
        page = ok(get(books.auditor, "events", limit=2, after=after, **filters))
        assert page["total"] == len(positions)
        seen += [event["position"] for event in page["events"]]
        after = page["next_after"]
    assert seen == positions


def test_events_after_the_head_are_none(books: Books) -> None:
    assert ok(get(books.auditor, "events", after=HEAD))["events"] == []


def test_one_event_is_the_same_as_in_the_list(books: Books) -> None:
    listed = ok(get(books.auditor, "events", after=6, limit=1))["events"][0]
    assert ok(get(books.auditor, f"events/{listed['event_id']}")) == listed
    for unknown in (str(uuid4()), "nothing", "a\x00"):
        problem(get(books.auditor, f"events/{unknown}"), 404, "event_not_found")


def test_the_trial_balance_adds_up_to_nothing_in_every_currency(books: Books) -> None:
    answer = ok(get(books.auditor, "trial-balance"))
    assert answer["balanced"] is True
    assert answer["currencies"] == [
        {
            "currency": "JPY",
            "accounts": 1,
            "accounts_total": "1000",
            "external_total": "-1000",
            "difference": "0",
        },
        {
            "currency": "USD",
            "accounts": 2,
            "accounts_total": "800.00",
            "external_total": "-800.00",
            "difference": "0.00",
        },
    ]


def recorded(position: int) -> datetime:
    query = "SELECT e.recorded_at FROM journal j JOIN events e USING (event_id) WHERE j.position = %s"
    instant: datetime = rows(query, position)[0][0]
    return instant


def test_the_books_as_of_an_instant_are_those_of_the_commands_until_then(books: Books) -> None:
    before_withdrawal = format_instant(recorded(8) - timedelta(microseconds=1))
    answer = ok(get(books.auditor, "trial-balance", as_of=before_withdrawal))
    assert answer["as_of"] == before_withdrawal
    assert [line["accounts_total"] for line in answer["currencies"]] == ["1000", "850.00"]
    assert answer["balanced"] is True


def test_the_books_of_long_ago_are_empty_and_final(books: Books) -> None:
    answer = ok(get(books.auditor, "trial-balance", as_of="2001-01-01T00:00:00Z"))
    assert (answer["currencies"], answer["final"]) == ([], True)
    assert ok(get(books.auditor, "trial-balance", as_of="2999-01-01T00:00:00Z"))["final"] is False


BALANCES_OF_ADA = {1: None, 2: "500.00", 7: "750.00", 8: "700.00", 9: "500.00"}


@pytest.mark.parametrize("position", [2, 7, 8, 9])
def test_a_balance_is_known_at_every_microsecond(books: Books, position: int) -> None:
    at = recorded(position)
    answer = ok(get(books.auditor, f"accounts/{ADA}/balance-at", timestamp=format_instant(at)))
    assert (answer["balance"], answer["currency"]) == (BALANCES_OF_ADA[position], "USD")
    assert parse_instant(answer["at"]) == at
    just_before = format_instant(at - timedelta(microseconds=1))
    response = get(books.auditor, f"accounts/{ADA}/balance-at", timestamp=just_before)
    if position == 2:
        assert problem(response, 404, "account_not_found_at")["account_id"] == ADA
    else:
        earlier = [known for known in BALANCES_OF_ADA if known < position][-1]
        assert ok(response)["balance"] == BALANCES_OF_ADA[earlier]


def test_both_sides_of_a_transfer_are_seen_at_the_same_instant(books: Books) -> None:
    at = recorded(9)
    for instant, balances in ((at, ("500.00", "300.00")), (at - timedelta(microseconds=1), ("700.00", "100.00"))):
        found = [
            ok(get(books.auditor, f"accounts/{id_}/balance-at", timestamp=format_instant(instant)))["balance"]
            for id_ in (ADA, BOB)
        ]
        assert tuple(found) == balances


def test_a_balance_is_final_when_nothing_can_be_recorded_before_it_any_more(books: Books) -> None:
    for ago_s in (-86_400, 0, 2):
        at = format_instant(datetime.now(UTC) - timedelta(seconds=ago_s))
        assert get(books.auditor, f"accounts/{ADA}/balance-at", timestamp=at).json()["final"] is False
    at = format_instant(recorded(2))
    wait_for(
        lambda: ok(get(books.auditor, f"accounts/{ADA}/balance-at", timestamp=at))["final"], "final", timeout_s=20.0
    )
    long_ago = get(books.auditor, f"accounts/{ADA}/balance-at", timestamp="2001-01-01T00:00:00Z")
    assert problem(long_ago, 404, "account_not_found_at")["final"] is True


@pytest.mark.parametrize(
    "query",
    [
        "timestamp=2999-01-01T00:00:00Z",
        "timestamp=2999-01-01t00:00:00z",
        "timestamp=2999-01-01T02:00:00%2B02:00",
        "timestamp=2999-01-01T02:00:00+02:00",  # the plus arrives as a space
        "timestamp=2999-01-01T02:00:00.000000+02:00",
        "timestamp=2998-12-31T22:00:00-02:00",
        "timestamp=2999-01-01%2000:00:00Z",
        "timestamp=2999-01-01T00:00:00.000000999Z",  # what comes after microseconds decides nothing
    ],
)
def test_an_instant_may_have_any_offset(books: Books, query: str) -> None:
    answer = ok(books.auditor.get(f"{API}/accounts/{ADA}/balance-at?{query}"))
    assert answer["at"] == "2999-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01T00:00:00", "0", "2026-01-01T00:00:00 2:00"])
def test_an_instant_without_meaning_is_malformed(books: Books, text: str) -> None:
    problem(get(books.auditor, f"accounts/{ADA}/balance-at", timestamp=text), 400, "invalid_instant")
    problem(get(books.auditor, f"accounts/{ADA}/balance-at"), 400, "invalid_instant")


def test_an_unknown_account_has_no_balance_at_any_time(books: Books) -> None:
    problem(
        get(books.auditor, "accounts/nobody/balance-at", timestamp="2026-01-01T00:00:00Z"), 404, "account_not_found"
    )


def test_currencies_come_with_their_decimals(books: Books) -> None:
    known = {entry["code"]: entry["decimals"] for entry in ok(get(books.auditor, "currencies"))["currencies"]}
    assert (known["USD"], known["JPY"], known["BHD"]) == (2, 0, 3)
