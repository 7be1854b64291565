"""Takes the pictures in docs/screenshots/: `make screenshots`. A page that changes by the second is held still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import settled
from tests.servers import REPOSITORY, run_manage

pytestmark = [pytest.mark.screenshots, pytest.mark.timeout(600)]

FOLDER = REPOSITORY / "docs" / "screenshots"
BYTES_MAX = 300_000
# The accounts first and all at once; then long enough for the charts to be full.
COMMANDS_AT_ONCE, COMMANDS_PER_S, SECONDS = 1, 12, 100
ACCOUNT = "/admin/projections/account/demo-001-bakery/"
SHOTS = [
    ("dashboard", "/admin/", DESKTOP, "light"),
    ("dashboard", "/admin/", DESKTOP, "dark"),
    ("live", "/admin/live/", DESKTOP, "light"),
    ("live", "/admin/live/", DESKTOP, "dark"),
    ("live-phone", "/admin/live/", PHONE, "light"),
    ("account", f"{ACCOUNT}change/", DESKTOP, "light"),
    ("account", f"{ACCOUNT}change/", DESKTOP, "dark"),
    ("account-phone", f"{ACCOUNT}change/", PHONE, "light"),
    ("time-travel", f"{ACCOUNT}time-travel/?version=12", DESKTOP, "light"),
    ("time-travel", f"{ACCOUNT}time-travel/?version=12", DESKTOP, "dark"),
    ("time-travel-phone", f"{ACCOUNT}time-travel/?version=12", PHONE, "light"),
    ("transfer", "/admin/projections/transfer/", DESKTOP, "light"),
    ("transfer", "/admin/projections/transfer/", DESKTOP, "dark"),
    ("transfer-phone", "/admin/projections/transfer/", PHONE, "light"),
]


def test_screenshots(open_page: OpenPage, live_system: LiveSystem) -> None:
    run_manage("simulate_traffic", "--commands", str(COMMANDS_AT_ONCE))
    pages = [(shot, _open(open_page, *shot)) for shot in SHOTS]
    run_manage("simulate_traffic", "--rate", str(COMMANDS_PER_S), "--duration", str(SECONDS))
    head = settled()
    for (name, _, _, scheme), page in pages:
        if name == "dashboard":
            expect(page.locator("[data-number=head_position]")).to_have_text(f"{head:,}")
            expect(page.locator("[data-number=lag_events]")).to_have_text("0")
        elif name.startswith("live"):
            expect(page.locator(".ledger-row").first).to_have_attribute("data-position", str(head))
        else:
            page.reload()
        if name.startswith("transfer"):
            page.locator(".result-list a").first.click()
            expect(page.locator("[data-timeline-step]").first).to_be_visible()
        _take(page, FOLDER / f"{name}-{scheme}.png")


def _open(open_page: OpenPage, name: str, address: str, viewport: Any, scheme: str) -> Page:
    page = open_page(address, viewport=viewport, color_scheme=scheme)
    if name.startswith(("dashboard", "live")):
        expect(page.locator("[data-state=live]")).to_be_visible()
    return page


def _take(page: Page, path: Path) -> None:
    page.bring_to_front()
    page.screenshot(path=path, animations="disabled")
    assert path.stat().st_size < BYTES_MAX, f"{path.name} is too large for the repository"
