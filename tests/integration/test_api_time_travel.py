"""Time travel over HTTP: one account step by step, the whole books at any cut, and what lies between two instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.domain.instants import format_instant
from ledger.store import history
from tests.api_world import API, get, ok, open_account, post, problem
from tests.books_world import ADA, BOB, HEAD, KEN, Books
from tests.ledger_world import rows
from tests.read_world import order_everything, wait_until_applied
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")
MICROSECOND = timedelta(microseconds=1)
FINAL_SOON = timedelta(seconds=0.5)  # the five seconds that it is are waited for in the test of a balance
FUTURE, LONG_AGO = "2999-01-01T00:00:00Z", "2001-01-01T00:00:00Z"


def recorded(position: int) -> datetime:
    query = "SELECT e.recorded_at FROM journal j JOIN events e USING (event_id) WHERE j.position = %s"
    instant: datetime = rows(query, position)[0][0]
    return instant


def balances(answer: Any) -> dict[str, str]:
    return {balance["account_id"]: balance["balance"] for balance in answer["balances"]}


def at(books: Books, **parameters: Any) -> Any:
    return ok(get(books.auditor, f"accounts/{ADA}/at", **parameters))


def test_a_step_names_the_event_that_made_it_so_and_the_ones_around_it(books: Books) -> None:
    response = get(books.auditor, f"accounts/{ADA}/at", version=3)
    answer = ok(response)
    assert response["Chronicle-Position"] == str(HEAD)
    said = [(answer[step]["event_type"], answer[step]["balance"]) for step in ("before", "event", "after")]
    assert said == [("MoneyDeposited", "500.00"), ("MoneyDeposited", "750.00"), ("MoneyWithdrawn", "700.00")]
    assert (answer["version"], answer["final"], answer["at"]) == (3, True, None)
    assert answer["event"]["data"]["description"] == "salary"
    just_before = recorded(8) - MICROSECOND
    assert at(books, timestamp=format_instant(just_before))["event"] == answer["event"]
    assert at(books, timestamp=format_instant(recorded(8)))["event"] == answer["after"]


def test_the_first_and_the_last_step_have_one_neighbour(books: Books) -> None:
    first, last = at(books, version=1), at(books, version=5)
    assert (first["before"], first["event"]["event_type"], first["after"]["version"]) == (None, "AccountCreated", 2)
    assert (last["before"]["version"], last["after"]) == (4, None)


@pytest.mark.parametrize("when", [{"version": 0}, {"timestamp": LONG_AGO}, {"timestamp": "0001-01-01T00:00:00Z"}])
def test_before_its_first_event_an_account_is_at_version_0(books: Books, when: dict[str, Any]) -> None:
    answer = at(books, **when)
    assert (answer["version"], answer["event"], answer["before"]) == (0, None, None)
    assert answer["after"]["event_type"] == "AccountCreated"


def test_before_the_first_event_is_final_and_the_future_is_not(books: Books) -> None:
    assert at(books, timestamp=LONG_AGO)["final"] is True
    future = at(books, timestamp=FUTURE)
    assert (future["version"], future["final"], future["after"]) == (5, False, None)
    assert at(books, timestamp=format_instant(datetime.now(UTC)))["final"] is False


def test_what_is_not_there_is_not_found(books: Books) -> None:
    assert problem(get(books.auditor, f"accounts/{ADA}/at", version=6), 404, "version_not_found")["version"] == 5
    problem(get(books.auditor, f"accounts/{ADA}/at", version=2**63 - 2), 404, "version_not_found")
    for when in ({"version": 0}, {"version": 7}, {"timestamp": LONG_AGO}):
        problem(get(books.auditor, "accounts/nobody/at", **when), 404, "account_not_found")


@pytest.mark.parametrize("aggregate_id", ["transfer:1", "reversal:1", "log:keys"])
def test_what_is_no_account_has_no_balance_to_travel_to(books: Books, aggregate_id: str) -> None:
    for path, parameters in (
        ("at", {"version": 1}),
        ("at", {"timestamp": FUTURE}),
        ("balance-at", {"timestamp": FUTURE}),
    ):
        problem(get(books.auditor, f"accounts/{aggregate_id}/{path}", **parameters), 400, "invalid_account_id")


def test_either_a_version_or_a_timestamp_says_when(books: Books) -> None:
    for parameters in (
        {},
        {"version": 1, "timestamp": FUTURE},
        {"version": "x"},
        {"version": "-1"},
        {"version": 2**63 - 1},
    ):
        problem(get(books.auditor, f"accounts/{ADA}/at", **parameters), 400, "invalid_parameter")


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, {}),
        (2, {ADA: "500.00"}),
        (8, {ADA: "700.00", BOB: "100.00", KEN: "1000"}),
        (9, {ADA: "700.00", BOB: "100.00", KEN: "1000"}),  # in the middle of the transfer: not half of it
        (10, {ADA: "500.00", BOB: "300.00", KEN: "1000"}),
        (11, {ADA: "500.00", BOB: "300.00", KEN: "1000"}),
    ],
)
def test_the_books_at_a_position_never_show_half_a_transfer(
    books: Books, position: int, expected: dict[str, str]
) -> None:
    response = get(books.auditor, "books", position=position)
    answer = ok(response)
    assert (balances(answer), answer["balanced"], answer["final"]) == (expected, True, position <= HEAD)
    assert answer["position"] == {9: 8, 11: 10}.get(position, position)
    assert response["Chronicle-Position"] == str(HEAD)


def test_the_books_at_an_instant_are_what_was_recorded_until_then(books: Books) -> None:
    for instant, ada in ((recorded(8), "700.00"), (recorded(8) - MICROSECOND, "750.00")):
        answer = ok(get(books.auditor, "books", recorded_at=format_instant(instant)))
        assert balances(answer)[ADA] == ada
        usd = next(line for line in answer["currencies"] if line["currency"] == "USD")
        total = f"{float(ada) + 100:.2f}"
        assert (usd["accounts_total"], usd["external_total"], usd["accounts"]) == (total, f"-{total}", 2)
    before = ok(get(books.auditor, "books", recorded_at=LONG_AGO))
    assert (before["balances"], before["currencies"], before["final"]) == ([], [], True)
    assert ok(get(books.auditor, "books", recorded_at=FUTURE))["final"] is False
    assert ok(get(books.auditor, "books"))["final"] is False


def test_books_become_final_once_nothing_can_be_recorded_before_them(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "FINAL_AFTER", FINAL_SOON)
    at = format_instant(recorded(HEAD))
    wait_for(lambda: bool(ok(get(books.auditor, "books", recorded_at=at))["final"]), "final")


def test_what_counted_and_what_was_known_are_two_questions(books: Books) -> None:
    account_id = open_account(books.operator, "10.00")
    opened = ok(get(books.auditor, f"accounts/{account_id}"))["opened_at"]
    late = {"account_id": account_id, "amount": "5.00", "description": "late", "effective_at": opened}
    written = ok(post(books.operator, "deposit", late), 201)["recorded_at"]
    order_everything()
    wait_until_applied()

    def balance(**cut: str) -> str:
        answer = ok(get(books.auditor, "books", account_id=account_id, **cut))
        assert answer["balanced"] is True
        return balances(answer)[account_id]

    before_it_was_known = format_instant(datetime.fromisoformat(written) - MICROSECOND)
    assert balance(effective_at=opened) == "15.00"
    assert balance(recorded_at=before_it_was_known) == "10.00"
    assert balance(effective_at=opened, recorded_at=before_it_was_known) == "10.00"
    assert ok(get(books.auditor, "books", effective_at=opened))["final"] is False


def test_pages_of_the_books_join_and_each_has_the_whole_trial_balance(books: Books) -> None:
    seen, after, totals = [], "", set()
    while after is not None:
        page = ok(get(books.auditor, "books", limit=1, after=after, position=HEAD))
        seen += balances(page)
        totals.add(str(page["currencies"]))
        after = page["next_after"]
    assert seen == [ADA, BOB, KEN]
    assert len(totals) == 1


def test_the_difference_between_two_instants_names_every_account(books: Books) -> None:
    between = {"from": format_instant(recorded(8) - MICROSECOND), "to": format_instant(recorded(HEAD))}
    response = get(books.auditor, "books/difference", **between)
    answer = ok(response)
    assert answer["changes"] == [
        {"account_id": ADA, "currency": "USD", "before": "750.00", "after": "500.00", "change": "-250.00"},
        {"account_id": BOB, "currency": "USD", "before": "100.00", "after": "300.00", "change": "200.00"},
    ]
    assert (answer["total"], answer["next_after"], answer["on"]) == (2, None, "recorded_at")
    assert int(response["Chronicle-Position"]) >= HEAD
    first = ok(get(books.auditor, "books/difference", limit=1, **between))
    second = ok(get(books.auditor, "books/difference", limit=1, after=first["next_after"], **between))
    assert first["changes"] + second["changes"] == answer["changes"]
    back = ok(get(books.auditor, "books/difference", **{"from": between["to"], "to": between["from"]}))
    assert back["changes"][0]["change"] == "250.00"
    nothing = ok(get(books.auditor, "books/difference", **{"from": between["to"], "to": between["to"]}))
    assert (nothing["changes"], nothing["total"]) == ([], 0)
    assert ok(get(books.auditor, "books/difference", on="effective_at", **between))["final"] is False
    only_bob = ok(get(books.auditor, "books/difference", account_id=BOB, **between))
    assert [change["account_id"] for change in only_bob["changes"]] == [BOB]


def test_a_difference_needs_two_instants(books: Books) -> None:
    for parameters in ({}, {"from": FUTURE}, {"from": FUTURE, "to": "soon"}):
        problem(get(books.auditor, "books/difference", **parameters), 400, "invalid_instant")
    problem(get(books.auditor, "books/difference", on="x", **{"from": FUTURE, "to": FUTURE}), 400, "invalid_parameter")


ENDPOINTS = [
    (f"accounts/{ADA}/at", "timestamp", "at"),
    (f"accounts/{ADA}/balance-at", "timestamp", "at"),
    ("books", "recorded_at", "recorded_at"),
    ("books", "effective_at", "effective_at"),
    ("books/difference", "from", "from"),
    ("trial-balance", "as_of", "as_of"),
]


@pytest.mark.parametrize(("path", "parameter", "member"), ENDPOINTS)
@pytest.mark.parametrize(
    "text",
    [
        "2999-01-01T00:00:00.000001Z",
        "2999-01-01t00:00:00.000001z",
        "2999-01-01T05:45:00.000001%2B05:45",
        "2999-01-01T05:45:00.000001+05:45",  # the plus arrives as a space
        "2998-12-31T14:00:00.000001-10:00",
        "2999-01-01T00:00:00.000001999Z",
    ],
)
def test_an_instant_may_have_any_offset_and_keeps_its_microseconds(
    books: Books, path: str, parameter: str, member: str, text: str
) -> None:
    other = "&to=2999-01-01T00:00:00Z" if parameter == "from" else ""
    answer = ok(books.auditor.get(f"{API}/{path}?{parameter}={text}{other}"))
    assert answer[member] == "2999-01-01T00:00:00.000001Z"
    assert answer["final"] is False


@pytest.mark.parametrize(("path", "parameter", "member"), ENDPOINTS)
@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+01:00", "2026-02-30T00:00:00Z",
                                  "2026-01-01T00:00:00+05:60", "now"])  # fmt: skip
def test_an_instant_without_meaning_is_malformed(
    books: Books, path: str, parameter: str, member: str, text: str
) -> None:
    other = {"to": FUTURE} if parameter == "from" else {}
    problem(get(books.auditor, path, **{parameter: text}, **other), 400, "invalid_instant")
