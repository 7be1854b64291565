"""An account's page: its money, its statement by pages and filters, its chart, and what is said when there is none."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from auditor.past import account, statement
from auditor.past.history import POINTS_MAX
from auditor.past.instants import EPOCH, MICROSECOND
from chronicle.roles import Role
from ledger import selectors
from ledger.domain.commands import CreateAccount, Deposit, PlaceHold, StartTransfer
from ledger.errors import StoreUnavailable
from ledger.models import Event
from projections.models import Transaction, Transfer
from tests.past_world import DEPOSITS, HARBOUR, LIGHTHOUSE, account_page, applied, long_life, text, travel_page
from tests.portal_world import accesses, signed_in
from tests.read_world import order_everything, submit

ADDRESS = account_page(LIGHTHOUSE)
BALANCE = Decimal("500") + DEPOSITS * (DEPOSITS + 1) // 2 - Decimal("112.34")


@pytest.fixture(scope="module")
def _life(clean_stores_for_module: None) -> None:
    long_life()


pytestmark = pytest.mark.usefixtures("_life", "database")


def lines(client: Client, **wanted: Any) -> list[int]:
    """Return the positions of the statement's lines, over all its pages."""
    found: list[int] = []
    query = "?" + "&".join(f"{name}={value}" for name, value in wanted.items())
    while query:
        context = client.get(f"{ADDRESS}{query}").context
        found += [line.position for line in context["statement"].lines]
        query = context["next_url"].removesuffix("#statement")
    return found


def test_the_page_says_what_the_account_holds_and_has_reserved(auditor: Client) -> None:
    shown = text(auditor, ADDRESS)
    assert f"Balance {BALANCE:,.2f} USD" in shown
    assert f"Available {BALANCE - 40:,.2f} USD" in shown
    assert "Held 40.00 USD" in shown
    assert "Status active" in shown
    assert "Lamp &amp; Sons" in shown


def test_an_open_hold_leads_to_the_event_that_placed_it(auditor: Client) -> None:
    placed = Event.objects.get(aggregate_id=LIGHTHOUSE, event_type="FundsHeld")
    assert f"/admin/ledger/event/{placed.pk}/change/" in auditor.get(ADDRESS).content.decode()


def test_the_hold_of_a_transfer_in_steps_leads_to_that_transfer_and_to_its_event(auditor: Client) -> None:
    submit(CreateAccount("pier", "Pier", "USD", Decimal(20)), CreateAccount("quay", "Quay", "USD"))
    submit(StartTransfer("pier", "quay", Decimal(5)), PlaceHold("pier", Decimal(3)))
    applied()
    answer = auditor.get(account_page("pier")).content.decode()
    for event in Event.objects.filter(aggregate_id="pier", event_type="FundsHeld"):
        transfer_id = event.data["hold_id"].removeprefix("transfer:")
        address = f"/admin/projections/transfer/{transfer_id}/change/"
        assert f'href="{address}"' in answer
        assert f'href="/admin/ledger/event/{event.pk}/change/"' in answer
        assert "pier" in text(auditor, address)
    assert "transfer in steps" in text(auditor, account_page("pier"))


def test_transfers_are_narrowed_by_state_and_kind(auditor: Client) -> None:
    listed = "/admin/projections/transfer/"
    everything = set(Transfer.objects.values_list("pk", "status", "kind"))
    assert {status for _, status, _ in everything} >= {"completed", "held", "started"}
    for name, index in (("status", 1), ("kind", 2)):
        for value in {row[index] for row in everything}:
            found = auditor.get(listed, {name: value}).context["cl"].result_list
            assert {row.pk for row in found} == {row[0] for row in everything if row[index] == value}
    assert not auditor.get(listed, {"status": "started", "kind": "hold"}).context["cl"].result_list


def test_the_statements_pages_hold_every_line_once_newest_first(auditor: Client) -> None:
    expected = list(
        Transaction.objects.filter(account_id=LIGHTHOUSE).order_by("-position").values_list("position", flat=True)
    )
    assert lines(auditor) == expected
    assert len(expected) == DEPOSITS + 3


def test_each_line_shows_the_balance_it_left(auditor: Client) -> None:
    shown = text(auditor, ADDRESS)
    assert f"transfer out harbour Mooring −100.00 USD {BALANCE:,.2f} USD" in shown
    assert f"withdrawal external:USD Wick −12.34 USD {BALANCE + 100:,.2f} USD" in shown


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"text": "oil 30"}, 2),  # 30 and 300
        ({"text": "HARBOUR"}, 1),
        ({"kind": "transfer_out"}, 1),
        ({"minimum": "299.5"}, 2),  # the last deposit and what the account began with
        ({"maximum": "2"}, 2),
        ({"minimum": "10", "maximum": "12.34"}, 4),
        ({"minimum": "100", "kind": "transfer_out"}, 1),
        ({"until": "2001-01-01"}, 0),
        ({"since": "2001-01-01T00:00:00.000001"}, DEPOSITS + 3),
        ({"text": "%"}, 0),
    ],
)
def test_a_filter_lets_through_its_own_lines_only(auditor: Client, wanted: dict[str, str], count: int) -> None:
    assert len(lines(auditor, **wanted)) == count


def test_an_instant_to_the_microsecond_parts_one_line_from_the_next(auditor: Client) -> None:
    one, other = Transaction.objects.filter(account_id=LIGHTHOUSE).order_by("position")[10:12]
    between = {"since": one.recorded_at.isoformat().replace("+", "%2B"), "until": one.recorded_at.isoformat()[:26]}
    assert lines(auditor, **between) == [one.position]
    assert one.recorded_at < other.recorded_at


@pytest.mark.parametrize(
    ("name", "value"), [("minimum", "x"), ("maximum", "-1"), ("since", "yesterday"), ("kind", "gift")]
)
def test_what_cannot_be_asked_is_said_and_nothing_is_shown_for_it(auditor: Client, name: str, value: str) -> None:
    answer = auditor.get(ADDRESS, {name: value})
    assert answer.status_code == 200
    assert answer.context["lines"] == []
    assert 'role="alert" id="statement-errors"' in answer.content.decode()
    assert "No money has moved" not in answer.content.decode()


def test_a_search_that_goes_far_stops_says_where_and_goes_on(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "SCANNED_MAX", 100)
    monkeypatch.setattr(account, "SCANNED_MAX", 100)
    context = auditor.get(ADDRESS, {"text": "Initial balance"}).context
    assert context["lines"] == []
    shown = text(auditor, ADDRESS, text="Initial balance")
    assert (
        f"Nothing matches in the 100 lines that were searched, down to position {context['statement'].searched_to}"
        in shown
    )
    assert "Search further back" in shown
    assert len(lines(auditor, text="Initial balance")) == 1


def test_a_long_history_is_probed_and_right_at_every_point(auditor: Client) -> None:
    chart = auditor.get(ADDRESS).context["chart"]
    assert len(chart["points"]) == POINTS_MAX
    for at, balance_minor, version in chart["points"][:: POINTS_MAX // 12]:
        found = selectors.balance_at(LIGHTHOUSE, EPOCH + at * MICROSECOND)
        assert (found.account.balance_minor, found.version) == (balance_minor, version)
    assert chart["points"][0][0] == chart["first"]
    assert chart["points"][-1][2] == selectors.head_version(LIGHTHOUSE)


def test_a_short_history_is_drawn_from_every_event(auditor: Client) -> None:
    chart = auditor.get(account_page(HARBOUR)).context["chart"]
    assert [(balance, version) for _, balance, version in chart["points"]] == [(0, 1), (10_000, 2)]


def test_an_account_that_is_not_there_is_a_404_that_leads_on(auditor: Client) -> None:
    before = accesses()
    for address in (account_page("nobody<b>"), travel_page("nobody<b>")):
        shown = text(auditor, address, status=404)
        assert "There is no account nobody&lt;b&gt;" in shown
    assert accesses() == before


def test_opening_is_a_look_and_turning_the_page_goes_on_with_it(auditor: Client) -> None:
    before = len(accesses())
    auditor.get(ADDRESS)
    auditor.get(ADDRESS, {"before": 50})
    assert [look[:2] for look in accesses()[before:]] == [("account", LIGHTHOUSE)]
    # Whoever begins in the middle looks all the same.
    signed_in(Role.AUDITOR).get(ADDRESS, {"before": 50})
    assert [look[:2] for look in accesses()[before:]] == [("account", LIGHTHOUSE)] * 2


def test_the_page_changes_nothing_and_is_for_those_with_a_role(auditor: Client) -> None:
    for address in (ADDRESS, travel_page(LIGHTHOUSE)):
        assert auditor.post(address, {"balance": "1"}).status_code == 403
        assert Client().get(address).status_code == 302
        assert auditor.get(address, {"text": "\x00"}).status_code == 400


def test_a_statement_that_is_behind_says_so_while_the_balance_is_not(auditor: Client) -> None:
    submit(Deposit(HARBOUR, Decimal("0.01"), "Late"))
    try:
        shown = text(auditor, account_page(HARBOUR))
        assert "Balance 100.01 USD" in shown
        assert "The read model has not come to this account's last event yet" in shown
        order_everything()
        assert "has not come to this account" in text(auditor, account_page(HARBOUR))
    finally:
        applied()
    assert "has not come to this account" not in text(auditor, account_page(HARBOUR))


def test_a_store_that_does_not_answer_is_named(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(account, "life_of", away)
    assert re.search("The event store does not answer", text(auditor, ADDRESS, status=503))
