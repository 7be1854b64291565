"""The books as of an instant or a position: what every account held, that it adds up, and what differs between two."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connections
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from auditor.exports import books as exported_books
from auditor.exports import source
from auditor.past import books
from auditor.past.instants import MICROSECOND
from auditor.past.life import positions_of
from ledger.domain.commands import CreateAccount, Deposit, Transfer
from ledger.domain.instants import format_instant, parse_instant
from ledger.engine.execute import execute
from ledger.engine.submission import Submission
from ledger.models import Event
from projections.models import Transaction
from tests.integration.test_portal_exports import csv_rows, exported
from tests.past_world import applied, text
from tests.portal_world import BAKERY, MILL, signed_in, town
from tests.read_world import submit

ADDRESS = "/admin/books/"
LATER = "2100-01-01"
MANY = 60  # accounts: more than a page


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()
    submit(*(CreateAccount(f"cottage-{n:02}", "Cottager", "EUR", Decimal(n + 1)) for n in range(MANY)))
    backdated = Deposit(MILL, Decimal(7), "Backdated")
    execute([Submission(backdated, actor="tester", effective_at=opened() + 2 * MICROSECOND)])
    submit(Transfer(MILL, BAKERY, Decimal("0.50"), "Bread"))
    applied()


pytestmark = pytest.mark.usefixtures("_town", "database")


def opened() -> Any:
    return Event.objects.get(aggregate_id=MILL, version=1).recorded_at


def event(description: str, account_id: str = MILL) -> Event:
    line = Transaction.objects.get(account_id=account_id, description=description)
    return Event.objects.get(pk=line.event_id)


def balances(client: Client, **parameters: Any) -> dict[str, str]:
    """Return what the page says each account held, over all its pages."""
    found: dict[str, str] = {}
    query: dict[str, Any] | None = parameters
    while query is not None:
        context = client.get(ADDRESS, query).context
        for row in context["balances"]:
            name = row["account"].split(">")[1].split("<")[0]
            assert name not in found
            found[name] = row["balance"].split(">")[1].split(" ")[0]
        after = context["next_url"].partition("after=")[2].partition("#")[0]
        query = {**parameters, "after": after} if after else None
    return found


def test_opened_without_an_instant_it_adds_nothing_up_and_says_what_to_do(auditor: Client) -> None:
    assert "Say when" in text(auditor, ADDRESS)
    assert "sides" not in auditor.get(ADDRESS).context


def test_a_microsecond_before_a_transfer_neither_side_has_it(auditor: Client) -> None:
    at = event("Grinding").recorded_at
    before = balances(auditor, at=format_instant(at - MICROSECOND))
    after = balances(auditor, at=format_instant(at))
    assert (before[BAKERY], before[MILL]) == ("1,234.50", "0.50")
    assert (after[BAKERY], after[MILL]) == ("1,200.50", "34.50")


def test_every_page_of_the_balances_together_is_every_account_once(auditor: Client) -> None:
    found = balances(auditor, at="2100-01-01")
    assert len(found) == MANY + 2
    assert found["cottage-59"] == "60.00"
    assert list(found) == sorted(found)


def test_what_counts_differs_from_what_was_known(auditor: Client) -> None:
    at = format_instant(opened() + 2 * MICROSECOND)
    known, counts = balances(auditor, by="recorded_at", at=at), balances(auditor, by="effective_at", at=at)
    assert "7.00" not in known.values()
    assert Decimal(counts[MILL]) - Decimal(known.get(MILL, "0")) == Decimal("7.00")


def test_a_position_inside_a_transfer_is_before_it(auditor: Client) -> None:
    taken = event("Grinding", BAKERY)
    position = positions_of(BAKERY, [taken.version])[taken.version]
    assert balances(auditor, by="position", at=position)[BAKERY] == "1,234.50"
    assert balances(auditor, by="position", at=position + 1)[BAKERY] == "1,200.50"


def test_the_trial_balance_is_zero_and_says_whether_it_is_final(auditor: Client) -> None:
    first = positions_of(BAKERY, [2])[2]  # what the bakery began with: the order of separate accounts is no one's
    shown = text(auditor, ADDRESS, by="position", at=first)
    assert "✓ sums to zero final" in shown
    assert re.search(r"USD \d \d [\d,.]+ USD −[\d,.]+ USD 0.00 USD", shown)
    for by, at in (("recorded_at", "2100-01-01"), ("effective_at", "2001-01-01"), ("position", 10**6)):
        assert "not final" in text(auditor, ADDRESS, by=by, at=at), by
    assert "No money had moved by then" in text(auditor, ADDRESS, at="2001-01-01")


def test_two_instants_are_compared_and_what_differs_is_listed(auditor: Client) -> None:
    at, later = format_instant(event("Bread").recorded_at - MICROSECOND), format_instant(event("Bread").recorded_at)
    shown = text(auditor, ADDRESS, at=at, against=later)
    assert "2 accounts differ" in shown
    assert "town.bakery 1,200.50 USD 1,201.00 USD +0.50 USD" in shown
    assert "town.mill 41.50 USD 41.00 USD −0.50 USD" in shown
    (bread, _) = auditor.get(ADDRESS, {"at": at, "against": later}).context["changes"]
    statement = auditor.get(bread["between"].split('"')[3].replace("&amp;", "&").partition("#")[0]).context["lines"]
    assert [line["description"] for line in statement] == ["Bread"]
    assert "Every balance is the same at both" in text(auditor, ADDRESS, at=at, against=at)
    assert len(auditor.get(ADDRESS, {"at": "2001-01-01", "against": "2100-01-01"}).context["changes"]) == books.LINES


def test_a_comparison_reads_the_postings_once_and_shows_both_trial_balances(auditor: Client) -> None:
    later = format_instant(event("Bread").recorded_at)
    with CaptureQueriesContext(connections["read_model"]) as queries:
        sides = auditor.get(ADDRESS, {"at": "2001-01-01", "against": later}).context["sides"]
    assert sum(query["sql"].count("FROM postings") for query in queries) == 1
    alone = auditor.get(ADDRESS, {"at": later}).context["sides"]
    assert [side.totals for side in sides] == [[], alone[0].totals]


def test_a_recorded_instants_rows_lead_to_time_travel_at_it(auditor: Client) -> None:
    at = format_instant(event("Grinding").recorded_at)
    then = auditor.get(ADDRESS, {"at": at}).context["balances"][0]["then"]
    href = then.split('"')[3].replace("&amp;", "&")
    assert auditor.get(href).context["at"] == at


@pytest.mark.parametrize(
    "parameters", [{"at": "soon"}, {"by": "position", "at": "-1"}, {"by": "position", "at": "2026-01-01"}, {"by": "luck", "at": "1"}]
)  # fmt: skip
def test_what_cannot_be_asked_is_said(auditor: Client, parameters: dict[str, str]) -> None:
    answer = auditor.get(ADDRESS, parameters)
    assert 'id="books-errors"' in answer.content.decode()
    assert "sides" not in answer.context
    assert parameters["at"] in answer.content.decode()


@pytest.mark.parametrize("per_reading", [7, 50_000])
def test_the_balances_are_exported_as_all_pages_show_them(
    auditor: Client, monkeypatch: pytest.MonkeyPatch, per_reading: int
) -> None:
    monkeypatch.setattr(exported_books, "ACCOUNTS_PER_READING", per_reading)
    monkeypatch.setattr(source, "ROWS_PER_PIECE", 5)
    before = event("Bread").recorded_at - MICROSECOND
    for asked in ({"at": format_instant(before)}, {"by": "position", "at": "9"}, {"by": "effective_at", "at": LATER}):
        rows = csv_rows(exported(auditor, "books", query=urlencode(asked)))
        shown = {name: amount.replace(",", "") for name, amount in balances(auditor, **asked).items()}
        assert {row["account_id"]: row["balance"] for row in rows} == shown
        assert len(rows) == len(shown)
        found = auditor.get(ADDRESS, asked).context["sides"][0].books
        assert {row["at_position"] for row in rows} == {str(found.at_position)}
        assert {row["is_final"] for row in rows} == {str(found.is_final).lower()}


def test_what_differs_is_exported_with_both_balances(auditor: Client) -> None:
    bread = event("Bread").recorded_at
    asked = {"at": format_instant(bread - MICROSECOND), "against": format_instant(bread)}
    rows = csv_rows(exported(auditor, "books", query=urlencode(asked)))
    assert [(row["account_id"], row["change"], row["change_minor"]) for row in rows] == [
        (BAKERY, "0.50", "50"), (MILL, "-0.50", "-50"),
    ]  # fmt: skip
    assert all(Decimal(row["before"]) + Decimal(row["change"]) == Decimal(row["after"]) for row in rows)
    page = auditor.get(ADDRESS, asked).content.decode()
    assert f"/admin/exports/new/?list=books&amp;{urlencode(asked).replace('&', '&amp;')}" in page


def test_what_is_ordered_while_the_rest_is_read_is_in_no_balance(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported_books, "ACCOUNTS_PER_READING", 2)
    monkeypatch.setattr(source, "ROWS_PER_PIECE", 2)
    pieces = exported_books.open_source(QueryDict(urlencode({"at": LATER}))).pieces()
    rows = next(pieces)
    submit(Deposit("cottage-00", Decimal(5)), Deposit(f"cottage-{MANY - 1}", Decimal(5)))
    applied()
    rows += [row for piece in pieces for row in piece]
    held = {row[0]: row[3] for row in rows}
    assert (held["cottage-00"], held[f"cottage-{MANY - 1}"]) == ("1.00", f"{MANY}.00")
    assert len({row[4] for row in rows}) == 1


@pytest.mark.parametrize(
    "query", ["", "by=position&at=x", "at=never", "by=nothing&at=2100-01-01", "at=2100-01-01&against=x"]
)
def test_books_that_the_page_does_not_show_are_not_exported(auditor: Client, query: str) -> None:
    answer = auditor.get(f"/admin/exports/new/?list=books&{query}")
    assert answer.status_code == 400
    assert "Not exported" in answer.content.decode()


def test_the_picks_are_instants_that_the_page_takes(auditor: Client) -> None:
    for _, url in auditor.get(ADDRESS).context["picks"]:
        context = auditor.get(f"{ADDRESS}{url}").context
        assert parse_instant(context["form"].cleaned_data["at"].recorded_at.isoformat())
        assert context["sides"]


def test_without_the_read_model_it_says_so(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(books, "read_books", away)
    assert "The read model does not answer" in text(auditor, ADDRESS, status=503, at="2026-01-01")


def test_it_is_for_those_with_a_role(auditor: Client) -> None:
    assert Client().get(ADDRESS).status_code == 302
    assert signed_in().get(ADDRESS).status_code == 302
    assert auditor.get(ADDRESS, {"at": "\x00"}).status_code == 400
    assert reverse("admin:books") in auditor.get("/admin/").content.decode()


def test_an_early_position_reads_what_is_below_it_by_the_key_of_the_postings(auditor: Client) -> None:
    with CaptureQueriesContext(connections["read_model"]) as queries:
        assert auditor.get(ADDRESS, {"by": "position", "at": "3"}).status_code == 200
    (statement,) = [query["sql"] for query in queries if "FROM postings" in query["sql"]]
    with connections["read_model"].cursor() as cursor:
        # A table of a few rows is read whole whatever leads to some of them.
        cursor.execute("SET enable_seqscan = off")
        try:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        finally:
            cursor.execute("RESET enable_seqscan")
    assert re.search(r"Index Cond: \(posting_id <= ", plan), plan
