"""The API's page works under the content security policy, and asks no other host."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from ledger.api.submissions import FORMS
from tests.browser.conftest import STEP_TIMEOUT_MS, Watched
from tests.browser.live_system import LiveSystem


def test_the_page_shows_every_command(browser: Browser, live_system: LiveSystem, watched: Watched) -> None:
    context = browser.new_context(base_url=live_system.url)
    page = context.new_page()
    page.set_default_timeout(STEP_TIMEOUT_MS)
    watched.watch(page, live_system.url)
    page.goto("/api/docs/")
    for command_type in FORMS:
        expect(page.get_by_text(f"/api/v1/commands/{command_type}", exact=True)).to_be_visible()
    context.close()
