"""An operator's command in a real browser: filled in, confirmed by a double click, and seen arriving in the stream."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.money import new_account, settled
from tests.ledger_world import history


def test_a_deposit_is_confirmed_once_by_a_double_click_and_seen_arriving(open_page: OpenPage) -> None:
    account = new_account(balance="10.00")
    settled()
    page = open_page("/admin/commands/", who="operator")
    page.get_by_role("link", name=re.compile("^Deposit|Deposit Bring")).click()
    page.get_by_label("Account").fill(account)
    page.get_by_label("Amount").fill("2.345")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("[data-value=amount]")).to_have_text("2.345 USD")
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("#err-amount")).to_contain_text("too_many_decimals")
    page.get_by_label("Amount").fill("2.34")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".ledger-aside")).to_contain_text("10.00 USD")
    page.get_by_role("button", name="Confirm").dblclick()
    expect(page.locator("[data-arrived]")).to_have_text("arrived")
    expect(page.locator("[data-position]")).to_have_text(f"{settled():,}")
    expect(page.get_by_text("12.34 USD")).to_be_visible()
    assert [kind for _, kind, _ in history(account)] == ["AccountCreated", "MoneyDeposited", "MoneyDeposited"]


def test_going_back_and_confirming_again_does_nothing_twice(open_page: OpenPage) -> None:
    account = new_account()
    page = open_page(f"/admin/commands/deposit/?account_id={account}", who="operator")
    page.get_by_label("Amount").fill("1")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Accepted and recorded")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("It was done already, and not done again")).to_be_visible()
    assert len(history(account)) == 2
