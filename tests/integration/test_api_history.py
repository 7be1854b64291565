"""Events, balances at any instant and the trial balance over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ledger.domain.instants import format_instant, parse_instant
from tests.api_world import API, get, ok, problem
from tests.books_world import ADA, BOB, HEAD, Books
from tests.ledger_world import rows
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")


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
    wait_for(lambda: ok(get(books.auditor, f"accounts/{ADA}/balance-at", timestamp=at))["final"], "final")
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
