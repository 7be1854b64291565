"""Pages that are open while a database is away: what cannot be known is not left standing as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import new_account, settled
from tests.browser.test_live import live
from tests.read_world import wait_until_applied
from tests.servers import libpq


@contextmanager
def read_model_away() -> Iterator[None]:
    """Let nobody into the read model's database, and end what is connected to it."""
    name = connections["read_model"].settings_dict["NAME"]
    with psycopg.connect(libpq(settings.READ_MODEL_URL), dbname="postgres", autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_nothing_old_is_shown_while_the_read_model_is_away_and_all_of_it_again_after(
    open_page: OpenPage, live_system: LiveSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Playwright's loop runs in this thread, and Django lets nobody close a connection from where a loop runs.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    connections["read_model"].close()
    new_account(balance="7.00")
    wait_until_applied(settled())
    dashboard, operations = open_page("/admin/"), open_page("/admin/operations/", who="admin")
    live(dashboard)
    live(operations)
    total = dashboard.locator("[data-number=total-USD]")
    before, row = total.inner_text(), operations.locator("tr[data-projection=accounts]")
    expect(row.locator("[data-state-word]")).to_have_text("Current")
    live_system.stop_process("projector")
    try:
        with read_model_away():
            expect(dashboard.locator("#dashboard-connection")).to_contain_text("read model does not answer")
            expect(total).to_have_text("–")
            for number in ("accounts", "accounts-position", "accounts-proven_to", "books"):
                expect(dashboard.locator(f"[data-number={number}]")).to_have_text("–")
            expect(dashboard.locator("[data-projection=accounts]")).to_have_text("Not known")
            expect(row.locator("[data-state-word]")).to_have_text("Not known")
            for cell in ("position", "behind", "proof", "parked"):
                expect(row.locator(f"[data-{cell}]")).to_have_text("–")
            answer = dashboard.request.get("/admin/projections/account/")
            assert answer.status == 503
            assert "A database does not answer" in answer.text()
    finally:
        live_system.start_process("projector")
    expect(total).to_have_text(before)
    expect(dashboard.locator("[data-projection=accounts]")).to_have_text("Current")
    expect(row.locator("[data-state-word]")).to_have_text("Current")
    expect(row.locator("[data-proof]")).to_contain_text("✓")


def test_a_live_page_without_a_connection_does_not_say_that_there_is_nothing(open_page: OpenPage) -> None:
    page = open_page("/admin/live/?aggregate_id=nobody")
    live(page)
    empty = page.locator("#live-empty")
    expect(empty).to_have_text(
        "No event matches this filter yet. The next one appears here by itself.", use_inner_text=True
    )
    page.context.set_offline(True)
    expect(empty).to_contain_text("There is no connection to the ledger.", use_inner_text=True)
    expect(empty).not_to_contain_text("No event", use_inner_text=True)
    page.context.set_offline(False)
    expect(empty).to_contain_text("No event matches this filter yet.", use_inner_text=True)


def test_operations_say_anew_what_is_proven_and_what_is_parked(open_page: OpenPage) -> None:
    page = open_page("/admin/operations/", who="admin")
    live(page)
    row = page.locator("tr[data-projection=transactions]")
    new_account(balance="3.00")
    head = settled()
    expect(row.locator("[data-proof]")).to_have_text(f"✓ {head:,}")
    expect(row.locator("[data-percentiles]")).to_contain_text(" ms")
    expect(row.locator("[data-parked]")).to_have_text("0")
