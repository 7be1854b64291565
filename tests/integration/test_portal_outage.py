"""What the portal says while a database is away: it names it, and shows no old number for a new one."""

from __future__ import annotations

import pytest
from django.db import OperationalError

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


def test_the_dashboard_and_the_live_page_open_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_read_journal", away(StoreUnavailable("away")))
    monkeypatch.setattr(views, "before_newest", away(StoreUnavailable("away")))
    browser = signed_in(Role.AUDITOR)
    assert "The event store does not answer." in browser.get("/admin/").content.decode()
    assert 'data-after=""' in browser.get("/admin/live/").content.decode()
