"""What the portal says while a database is away: it names it, and shows no old number for a new one."""

from __future__ import annotations

import re

import pytest
from django.db import OperationalError, connections

from auditor import status, views
from auditor.dashboard import alarms
from chronicle.roles import Role
from ledger.errors import StoreUnavailable
from tests.portal_world import signed_in

pytestmark = pytest.mark.usefixtures("clean_stores")


def away(error: Exception) -> object:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_without_the_event_store_its_numbers_are_missing_and_the_rest_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_read_journal", away(StoreUnavailable("away")))
    read = status.read_status()
    assert read.unavailable == ["event_store"]
    assert (read.head_position, read.events_per_second, read.outbox_waiting, read.lag_events) == (None,) * 4
    assert read.accounts is not None
    assert alarms(read) == ["The event store does not answer."]


def test_without_the_read_model_the_journals_numbers_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_read_projections", away(OperationalError("away")))
    read = status.read_status()
    assert read.unavailable == ["read_model"]
    assert read.head_position is not None
    assert (read.projections, read.totals, read.is_balanced) == ([], [], None)


@pytest.mark.parametrize(
    ("alias", "address"),
    [
        ("default", "/admin/exports/"),
        ("read_model", "/admin/projections/account/"),
        ("event_store", "/admin/ledger/journalentry/"),
    ],
)
def test_a_page_says_that_a_database_is_away_and_not_that_the_server_failed(
    monkeypatch: pytest.MonkeyPatch, alias: str, address: str
) -> None:
    browser = signed_in(Role.AUDITOR)
    assert browser.get(address).status_code == 200
    connections[alias].close()
    for name, value in (("HOST", "127.0.0.1"), ("PORT", "1")):
        monkeypatch.setitem(connections[alias].settings_dict, name, value)
    answer = browser.get(address)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert "A database does not answer" in answer.content.decode()


def test_without_the_read_model_the_dashboard_does_not_say_that_nothing_was_ever_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "_read_projections", away(OperationalError("away")))
    shown = signed_in(Role.AUDITOR).get("/admin/").content.decode()
    assert shown.count("Not known: the read model does not answer.") == 2
    assert "No account has been opened yet" not in shown
    assert "No projection has run yet" not in shown


def test_the_dashboard_and_the_live_page_open_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_read_journal", away(StoreUnavailable("away")))
    monkeypatch.setattr(views, "before_newest", away(StoreUnavailable("away")))
    browser = signed_in(Role.AUDITOR)
    assert "The event store does not answer." in browser.get("/admin/").content.decode()
    live = browser.get("/admin/live/").content.decode()
    assert 'data-after=""' in live
    assert re.search(r'<span data-when="none" hidden>No event yet', live)
    assert '<span data-when="away">The event store cannot be reached.' in live
