"""The portal in a real browser: signing in, the menu and the dashboard."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import PHONE, OpenPage, Watched, sign_in
from tests.browser.live_system import LiveSystem
from tests.browser.money import deposit, deposit_over_http, new_account, settled
from tests.browser.test_live import LIVE, live
from tests.browser.test_portal_integrity import signed_up_to
from tests.waiting import wait_for

SECOND = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


def test_a_wrong_password_stays_outside(browser: Browser, live_system: LiveSystem, watched: Watched) -> None:
    page = browser.new_page(base_url=live_system.url)
    watched.watch(page, live_system.url)
    page.goto("/")
    expect(page).to_have_title(re.compile("Log in"))
    sign_in(page, {"username": "auditor", "password": "wrong"})
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    page.close()


def test_the_dashboard_shows_the_totals_and_follows_them(open_page: OpenPage, live_system: LiveSystem) -> None:
    account = new_account("BHD", "1000.000")
    settled()
    page = open_page("/admin/")
    live(page)
    total = page.locator("[data-currency=BHD] .ledger-figure")
    expect(total).to_have_text(re.compile(r"^BHD\s[\d,]+\.\d{3}$"))
    deposit_over_http(live_system, account, "0.125")
    expect(total).to_have_text(re.compile(r"\.125$"))
    expect(page.locator("[data-number=books]")).to_have_text("✓ Balanced")
    head = f"{settled():,}"
    expect(page.locator("[data-number=head_position]")).to_have_text(head)
    expect(page.locator("[data-number=transactions-position]")).to_have_text(head)


def test_the_dashboard_says_how_far_the_log_is_signed_and_was_verified_and_follows_both(open_page: OpenPage) -> None:
    deposit(new_account(), 2)
    page = open_page("/admin/")
    live(page)
    deposit(new_account(), 2)
    head = settled()
    signed_up_to(head)
    expect(page.locator("[data-number=signed]")).to_have_text(f"{head:,}")
    expect(page.locator("[data-number=signed-note]")).to_have_text(SECOND)
    other = open_page("/admin/integrity/")
    other.get_by_role("button", name="Verify now").click()
    expect(other.get_by_text("No fault found").first).to_be_visible()
    expect(page.locator("[data-number=verified]")).to_have_text("✓ No fault")
    note = page.locator("[data-number=verified-note]")
    expect(note).to_have_text(re.compile(rf"up to {head:,}, {SECOND.pattern}"))
    shown = note.inner_text()
    page.reload()
    assert note.inner_text() == shown  # from the page itself, before any frame


def test_a_currencys_first_account_gets_its_card_without_a_reload(open_page: OpenPage) -> None:
    new_account("USD", "1")
    page = open_page("/admin/")
    live(page)
    new_account("CHF", "7.25")
    expect(page.locator("[data-currency=CHF] .ledger-figure")).to_have_text(re.compile(r"7\.25$"))
    codes = page.locator("[data-currency]").evaluate_all("cards => cards.map(card => card.dataset.currency)")
    assert codes == sorted(codes)


def test_the_menu_opens_by_keyboard_on_a_phone(open_page: OpenPage) -> None:
    page = open_page(LIVE, viewport=PHONE)
    live(page)
    menu = page.locator("#nav-sidebar")
    expect(menu).not_to_be_visible()
    page.get_by_role("button", name="Menu", exact=True).press("Enter")
    expect(menu.get_by_role("link", name="Journal")).to_be_visible()
    page.get_by_role("button", name="Close the menu").press(" ")
    expect(menu).not_to_be_visible()


def test_without_a_script_the_dashboard_is_there_and_right(browser: Browser, live_system: LiveSystem) -> None:
    new_account(balance="1")
    head = settled()
    context = browser.new_context(base_url=live_system.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/")
    sign_in(page, live_system.credentials["auditor"])
    expect(page.locator("[data-number=head_position]")).to_have_text(f"{head:,}")
    expect(page.locator("[data-number=books]")).to_be_visible()
    page.goto(LIVE)
    expect(page.locator("noscript p")).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_shown_before_unfolds_script_has_started_and_looks_as_it_will(
    browser: Browser, live_system: LiveSystem, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(base_url=live_system.url, color_scheme=scheme)
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/ledger/journalentry/")
    sign_in(page, live_system.credentials["auditor"])
    expect(page.locator("html")).not_to_have_attribute("x-cloak", "")
    looks, menu = page.locator("html").get_attribute("class"), page.locator("#nav-sidebar").bounding_box()

    context.route("**/alpine.js", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("link", name="Journal").first).to_be_visible()
    assert (page.locator("html").get_attribute("class") or "") == ("dark" if scheme == "dark" else ""), looks
    assert page.locator("#nav-sidebar").bounding_box() == menu
    expect(page.locator("#changelist-filter")).to_be_hidden()

    page.evaluate("localStorage.setItem('sidebarDesktopOpen', '0')")  # as the button above the menu does
    page.reload()
    expect(page.locator("body")).to_be_hidden()
    context.close()


def test_a_stopped_read_model_is_an_alarm_on_the_open_dashboard(open_page: OpenPage, live_system: LiveSystem) -> None:
    page = open_page("/admin/")
    live(page)
    live_system.stop_process("projector")
    deposit(new_account(), 5)
    head = settled()
    try:
        expect(page.locator("[data-number=lag_events]")).not_to_have_text("0")
        expect(page.locator("[data-projection=accounts]")).to_have_text("Catching up")
    finally:
        live_system.start_process("projector")
    expect(page.locator("[data-number=accounts-position]")).to_have_text(f"{head:,}")
    expect(page.locator("[data-projection=accounts]")).to_have_text("Current")
    wait_for(lambda: page.locator("[data-number=lag_events]").inner_text() == "0", "a read model that is current")
