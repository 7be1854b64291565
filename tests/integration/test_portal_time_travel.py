"""The time-travel page: the account at an instant or a version, its neighbours, what changed, and what it costs."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from auditor.past.instants import EPOCH, MICROSECOND, in_words, parse
from ledger import selectors
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.models import Event
from tests.past_world import HARBOUR, LIGHTHOUSE, long_life, text, travel_page
from tests.portal_world import accesses

ADDRESS = travel_page(LIGHTHOUSE)


@pytest.fixture(scope="module")
def _life(clean_stores_for_module: None) -> None:
    long_life()


pytestmark = pytest.mark.usefixtures("_life", "database")


def events() -> list[Event]:
    return list(Event.objects.filter(aggregate_id=LIGHTHOUSE).order_by("version"))


def test_at_every_instant_the_page_has_the_balance_of_the_store(auditor: Client) -> None:
    first, last = events()[0].recorded_at, events()[-1].recorded_at
    choose = random.Random(7)
    for _ in range(20):
        at = first + (last - first) * choose.random()
        found = selectors.balance_at(LIGHTHOUSE, at)
        shown = text(auditor, ADDRESS, at=format_instant(at), part="step")
        assert f"Balance {float(format_minor(found.account.balance_minor, 'USD')):,.2f} USD" in shown
        assert f"Version {found.version} of {len(events())} at {in_words(at)}" in shown
        assert parse(in_words(at)) == at, "what the page says can be typed again"


def test_a_microsecond_before_an_event_is_the_event_before(auditor: Client) -> None:
    tenth = events()[9]
    at, before = tenth.recorded_at, tenth.recorded_at - MICROSECOND
    assert auditor.get(ADDRESS, {"at": format_instant(at)}).context["version"] == 10
    assert auditor.get(ADDRESS, {"at": format_instant(before)}).context["version"] == 9


def test_the_events_beside_and_the_change_field_by_field(auditor: Client) -> None:
    placed = Event.objects.get(aggregate_id=LIGHTHOUSE, event_type="FundsHeld")
    context = auditor.get(ADDRESS, {"version": placed.version}).context
    assert [event and event["version"] for _, _, event in context["events"]] == [placed.version + n for n in (-1, 0, 1)]
    changed = {field.name: (str(field.before), str(field.after)) for field in context["changes"] if field.is_changed}
    assert set(changed) == {"held", *(name for name in changed if name.startswith("holds › "))}
    assert len(changed) == 3  # the sum, and the hold's amount and deadline
    assert "40.00" in changed["held"][1]
    (freeze,) = (field for field in context["next_changes"] if field.is_changed)
    assert (freeze.name, freeze.before, freeze.after) == ("status", "active", "frozen")


def test_before_the_first_event_there_was_no_account(auditor: Client) -> None:
    context = auditor.get(ADDRESS, {"at": "1999-01-01"}).context
    assert (context["version"], context["summary"]) == (0, None)
    shown = text(auditor, ADDRESS, at="1999-01-01")
    assert "The account did not exist at 1999-01-01 00:00:00.000000 UTC" in shown
    assert [event and event["version"] for _, _, event in context["events"]] == [None, None, 1]
    assert auditor.get(ADDRESS, {"version": 0}).context["version"] == 0


def test_without_an_instant_and_beyond_the_last_event_it_is_the_last(auditor: Client) -> None:
    last = events()[-1].version
    for parameters in ({}, {"version": last + 9}, {"at": "2100-01-01"}):
        context = auditor.get(ADDRESS, parameters).context
        assert context["version"] == last
        assert context["events"][2][2] is None
    assert context["is_final"] is False


def test_an_instant_that_is_none_is_said_in_the_page_and_in_its_part(auditor: Client) -> None:
    answer = auditor.get(ADDRESS, {"at": "half past"})
    assert "Write an instant as" in answer.content.decode()
    assert 'value="half past"' in answer.content.decode()
    assert "Write an instant as" in text(auditor, ADDRESS, status=400, at="half past", part="step")


def test_a_step_costs_the_same_on_a_long_life_as_on_a_short_one(auditor: Client) -> None:
    def queries(address: str) -> int:
        auditor.get(address)
        with CaptureQueriesContext(connections["event_store"]) as captured:
            auditor.get(address, {"version": 1, "part": "step"})
        return len(captured)

    assert queries(ADDRESS) == queries(travel_page(HARBOUR))


def test_a_part_is_a_part_and_is_never_kept(auditor: Client) -> None:
    answer = auditor.get(ADDRESS, {"version": 3, "part": "step"})
    assert "no-store" in answer["Cache-Control"]
    assert "<html" not in answer.content.decode()


def test_steps_go_on_with_the_look_that_the_page_began(auditor: Client) -> None:
    before = len(accesses())
    auditor.get(ADDRESS)
    for version in range(1, 5):
        auditor.get(ADDRESS, {"version": version, "part": "step"})
    assert [look[:2] for look in accesses()[before:]] == [("account", LIGHTHOUSE)]


def test_the_sliders_ends_are_the_lifes(auditor: Client) -> None:
    slider = auditor.get(ADDRESS).context["slider"]
    assert EPOCH + slider["first"] * MICROSECOND == events()[0].recorded_at
    assert EPOCH + slider["last"] * MICROSECOND == max(
        events()[-1].recorded_at, events()[0].recorded_at + timedelta(seconds=1)
    )
