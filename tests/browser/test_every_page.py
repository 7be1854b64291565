"""Every page of the portal, for each role, light and dark, wide and on a phone: whole, quiet, and open to everybody.

A page is loaded once, wide and light, and then drawn on a phone and in the dark; what a theme cannot change is judged in
the light. That nothing complains and no other host is asked is held by `watched`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver, resolve
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.judged import CONTRAST, EVERY_RULE, faults
from tests.browser.live_system import LiveSystem
from tests.browser.test_live import live
from tests.browser.walked import COMMANDS, LISTS, LISTS_OF_PEOPLE, PAGES_BY_ROLE, Furnished, furnish

LOOKS = (
    ("light", DESKTOP, EVERY_RULE),
    ("light", PHONE, EVERY_RULE),
    ("dark", PHONE, CONTRAST),
    ("dark", DESKTOP, CONTRAST),
)
SCHEMES = ("light", "dark")
SWITCH = "theme => Alpine.$data(document.documentElement).switchTheme(theme)"  # as the portal's own button does
# What is drawn by a script follows a window's new width a frame later.
TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Not pages: what only takes a form, sends a file or a fragment, or leads on. Adding, changing and deleting are refused
# for all but users, whose forms are Django's own.
NO_PAGES = {
    "export-file", "finding-change", "integrity-evidence", "integrity-verify", "job-stop", "operations-rebuild",
    "logout", "jsi18n", "autocomplete", "find", "view_on_site", "search", "password_change_done", "login",
}  # fmt: skip
NO_PAGE_ENDINGS = ("_add", "_delete", "_history")


@pytest.fixture(scope="module")
def furnished(live_system: LiveSystem) -> Furnished:
    return furnish(live_system)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", PAGES_BY_ROLE)
def test_every_page_is_whole_quiet_and_accessible(open_page: OpenPage, furnished: Furnished, who: str) -> None:
    page = open_page("/admin/", who=who, color_scheme="light", reduced_motion="reduce")
    found: dict[str, list[str]] = {}
    for address in walk(page, [furnished.address(text) for text in PAGES_BY_ROLE[who]]):
        for scheme, viewport, rules in LOOKS:
            page.evaluate(SWITCH, scheme)
            page.set_viewport_size(viewport)
            page.evaluate(TWO_FRAMES)
            assert page.evaluate("document.documentElement.classList.contains('dark')") == (scheme == "dark")
            width = page.evaluate("document.documentElement.scrollWidth")
            wrong = [f"{width} px wide"] if width > viewport["width"] else []
            if wrong := [*wrong, *faults(page, rules)]:
                found[f"{address} at {viewport['width']}, {scheme}"] = wrong
        page.evaluate(SWITCH, "light")
    assert found == {}


def walk(page: Page, addresses: list[str]) -> Iterator[str]:
    """Open each page, and after a list the page of its first row."""
    for address in addresses:
        yield opened(page, address)
        if address in (*LISTS, *LISTS_OF_PEOPLE):
            hrefs = page.locator(".result-list a").evaluate_all("links => links.map(l => l.getAttribute('href'))")
            own = [href for href in hrefs if href.startswith(address) and href.endswith("/change/")]
            if own:
                yield opened(page, own[0])


def opened(page: Page, address: str) -> str:
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200, address
    page.wait_for_load_state("load")
    return address


def test_a_page_with_faults_is_seen_to_have_them(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(
        '<html lang="en"><title>T</title><p style="color: #ccc; background: #fff">Pale</p><img src="data:,">'
    )
    assert [fault.split()[0] for fault in faults(page)] == ["color-contrast", "image-alt"]
    assert [fault.split()[0] for fault in faults(page, CONTRAST)] == ["color-contrast"]
    page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_opened_event_of_the_live_page_has_no_serious_fault(
    open_page: OpenPage, furnished: Furnished, scheme: str
) -> None:
    page = open_page("/admin/", color_scheme=scheme, reduced_motion="reduce")
    page.goto(furnished.address("/admin/live/?aggregate_id=ACCOUNT"))
    live(page)
    page.locator(".ledger-expand").first.click()
    expect(page.locator(".ledger-leads")).to_be_visible()
    for viewport in (DESKTOP, PHONE):
        page.set_viewport_size(viewport)
        assert faults(page) == []


def test_a_page_that_says_there_is_nothing_has_none_either(open_page: OpenPage, watched: Any) -> None:
    page = open_page("/admin/books/")
    page.goto("/admin/projections/account/nobody/change/")
    expect(page.get_by_role("heading", name="There is no account nobody")).to_be_visible()
    assert faults(page) == []
    page.get_by_role("link", name="See those there are").click()
    page.wait_for_url("**/admin/projections/account/")
    # What a browser itself says of an answer of 404 is meant here.
    watched.console = [line for line in watched.console if "404 (Not Found)" not in line]


def test_every_page_that_there_is_is_walked(furnished: Furnished) -> None:
    walked = {resolve(_path(furnished.address(text))).url_name for pages in PAGES_BY_ROLE.values() for text in pages}
    walked |= {resolve(f"{address}1/change/").url_name for address in (*LISTS, *LISTS_OF_PEOPLE)}
    there_are = {name for name in page_names(admin.site.urls[0]) if not name.endswith(NO_PAGE_ENDINGS)}
    assert there_are - walked - NO_PAGES == set()
    assert {f"/admin/commands/{command_type}/" for command_type in COMMANDS} < set(PAGES_BY_ROLE["operator"])


def page_names(patterns: Any) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from page_names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield pattern.name


def _path(address: str) -> str:
    return address.partition("?")[0]
