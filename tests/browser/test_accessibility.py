"""The pages about the past and the live one under axe-core, in the light and in the dark: no serious fault.

axe judges what is on the screen, so each page is brought to where its parts are shown, and nothing moves.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import deposit, new_account, settled, transfer_over_http
from tests.browser.test_live import live

SERIOUS = ("serious", "critical")
# What WCAG 2.2 AA asks, and what axe's authors think good besides.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def faults(page: Page) -> list[str]:
    """Return the serious faults of a page, each with the elements that have it."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{fault['id']}: {fault['help']} {[node['target'] for node in fault['nodes']][:3]}"
        for fault in found
        if fault["impact"] in SERIOUS
    ]


def is_right(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("load")
    assert faults(page) == [], address


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_page_has_a_serious_fault(
    open_page: OpenPage, live_system: LiveSystem, viewport: Any, color_scheme: str
) -> None:
    account, other = new_account(balance="250.00"), new_account()
    deposit(account, 3, "10.00")
    transfer_id = transfer_over_http(live_system, account, other, "1.00")
    settled()
    page = open_page("/admin/books/", viewport=viewport, color_scheme=color_scheme, reduced_motion="reduce")
    is_right(page, "/admin/books/?at=2100-01-01")
    is_right(page, f"/admin/books/?by=position&at=1&against={settled()}")
    is_right(page, "/admin/books/?at=never")
    is_right(page, f"/admin/projections/account/{account}/change/")
    is_right(page, f"/admin/projections/account/{account}/change/?minimum=x")
    is_right(page, f"/admin/projections/account/{account}/time-travel/?version=3")
    is_right(page, f"/admin/projections/transfer/{transfer_id}/change/")
    is_right(page, "/admin/projections/transfer/")
    page.goto(f"/admin/live/?aggregate_id={account}")
    live(page)
    page.locator(".ledger-expand").first.click()
    expect(page.locator(".ledger-leads")).to_be_visible()
    assert faults(page) == []


def test_a_page_that_says_there_is_nothing_has_none_either(open_page: OpenPage, watched: Any) -> None:
    page = open_page("/admin/books/")
    is_right(page, "/admin/projections/account/nobody/change/")
    expect(page.get_by_role("heading", name="There is no account nobody")).to_be_visible()
    page.get_by_role("link", name="See those there are").click()
    page.wait_for_url("**/admin/projections/account/")
    # What a browser itself says of an answer of 404 is meant here.
    watched.console = [line for line in watched.console if "404 (Not Found)" not in line]
