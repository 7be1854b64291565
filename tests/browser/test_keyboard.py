"""Everything by keyboard: what is focused can be seen, and the live page and the time machine need no mouse."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.money import deposit, new_account, settled
from tests.browser.test_live import LIVE, live
from tests.browser.test_time_travel import address, expect_version
from tests.read_world import wait_until_applied

STOPS_MAX = 60  # more than a page's own parts have
# What has the focus, and whether it can be told by looking at it.
FOCUSED = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  return {
    name: element.id || element.name || element.textContent.trim().slice(0, 40),
    inside: document.getElementById("content").contains(element),
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none",
    shown: box.width > 0 && box.height > 0,
  };
}"""


def stops(page: Page) -> list[dict[str, Any]]:
    """Skip to the content and return what Tab comes to from there, until it has left the content."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    found: list[dict[str, Any]] = []
    while len(found) < STOPS_MAX:
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if not stop["inside"]:
            break
        found.append(stop)
    return found


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_whatever_has_the_focus_can_be_seen(open_page: OpenPage, color_scheme: str) -> None:
    account = new_account(balance="5.00")
    deposit(account, 2)
    wait_until_applied(settled())
    for path, expected in (
        (f"{LIVE}?aggregate_id={account}", {"event_type", "aggregate_id", "min_amount", "text", "live-pause"}),
        (address(account), {"travel-slider", "travel-at", "travel-play", "travel-speed"}),
        (f"/admin/projections/account/{account}/change/", {"text", "kind", "since"}),
        ("/admin/integrity/", {"event", "account", "head"}),
    ):
        page = open_page(path, color_scheme=color_scheme, reduced_motion="reduce")
        if path.startswith(LIVE):
            live(page)
        found = stops(page)
        assert expected <= {stop["name"] for stop in found}, path
        assert [stop["name"] for stop in found if not (stop["seen"] and stop["shown"])] == [], path
        page.context.close()


def test_the_live_page_is_used_without_a_mouse(open_page: OpenPage) -> None:
    account = new_account()
    settled()
    page = open_page(f"{LIVE}?aggregate_id={account}")
    live(page)
    expect(page.locator(".ledger-row")).to_have_count(1)  # what is not drawn yet would be counted as waiting
    page.keyboard.press("p")
    expect(page.locator("#live-pause")).to_have_attribute("aria-pressed", "true")
    deposit(account, 3)
    expect(page.locator("#live-pause")).to_contain_text("3")
    page.keyboard.press("p")
    expect(page.locator(".ledger-row")).to_have_count(4)
    page.locator("#live-pause").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".ledger-expand").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".ledger-leads")).to_be_visible()
    page.get_by_role("button", name="Copy JSON").focus()
    page.locator(".ledger-expand").first.focus()
    page.keyboard.press("Space")
    expect(page.locator(".ledger-leads")).to_have_count(0)


def test_the_time_machine_is_used_without_a_mouse(open_page: OpenPage) -> None:
    account = new_account(balance="5.00")
    for _ in range(3):
        deposit(account)
    settled()
    page = open_page(f"{address(account)}?version=5")
    page.locator("#travel-slider").focus()
    for key, version in (("Home", 1), ("ArrowRight", 2), ("End", 5), ("ArrowLeft", 4)):
        page.keyboard.press(key)
        expect_version(page, version)
    page.locator("#travel-at").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("2100-01-01")
    page.keyboard.press("Enter")
    expect_version(page, 5)
    page.locator("#travel-play").focus()
    page.keyboard.press("Space")
    expect(page.locator("#travel-play")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    expect(page.locator("#travel-play")).to_have_attribute("aria-pressed", "false")
