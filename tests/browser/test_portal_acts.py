"""What an auditor and an operator do on the other pages, in a real browser: one test for each page's main act."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import expect

from ledger.domain.commands import CreateAccount
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.judged import faults
from tests.browser.live_system import LiveSystem
from tests.browser.money import accept, deposit, new_account, settled, transfer_over_http
from tests.browser.test_portal_integrity import signed_up_to
from tests.integration.test_evidence_bundle import check
from tests.read_world import wait_until_applied


def test_a_finding_is_made_from_an_accounts_page_and_taken_further(open_page: OpenPage) -> None:
    account = new_account(balance="5.00")
    wait_until_applied(settled())
    page = open_page(f"/admin/projections/account/{account}/change/")
    page.get_by_role("link", name="Add a finding").click()
    expect(page.get_by_label("Account or event id")).to_have_value(account)
    page.get_by_label("Note").fill("Opened twice?\nAsk the branch.")
    page.get_by_role("button", name="Save the finding").dblclick()
    expect(page.get_by_text("The finding is saved.")).to_be_visible()
    page.get_by_label("Note").fill("The branch does not know.")
    page.get_by_label("State").select_option("Escalated")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".ledger-steps li")).to_have_count(2)
    expect(page.locator(".ledger-steps li").first).to_contain_text("Escalated")
    page.goto("/admin/auditor/finding/?state=escalated")
    expect(page.locator(".result-list tr", has_text=account)).to_have_count(1)
    page.get_by_role("link", name="Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert account in download.value.path().read_text()
    page.goto(f"/admin/projections/account/{account}/change/")
    page.get_by_role("link", name="1 finding", exact=True).click()
    expect(page.locator(".result-list tr", has_text=account)).to_have_count(1)


def test_two_take_one_finding_further_at_once_and_neither_note_is_lost(open_page: OpenPage) -> None:
    account = new_account(balance="5.00")
    settled()
    one = open_page(f"/admin/findings/new/?kind=account&subject={account}")
    one.get_by_label("Note").fill("Opened twice?")
    one.get_by_role("button", name="Save the finding").click()
    expect(one.get_by_text("The finding is saved.")).to_be_visible()
    other = open_page(one.url.removeprefix(one.url.split("/admin/")[0]), who="admin")
    other.get_by_label("Note").fill("It is worse.")
    other.get_by_label("State").select_option("Escalated")
    other.get_by_role("button", name="Add").click()
    expect(other.locator(".ledger-steps li")).to_have_count(2)
    one.get_by_label("Note").fill("All is well, I think.")
    one.get_by_label("State").select_option("Explained")
    one.get_by_role("button", name="Add").click()
    expect(one.get_by_role("alert")).to_contain_text("Somebody took it further meanwhile")
    expect(one.locator(".ledger-steps li").first).to_contain_text("It is worse.")
    expect(one.get_by_label("Note")).to_have_value("All is well, I think.")
    assert faults(one) == []
    one.get_by_role("button", name="Add").click()
    expect(one.locator(".ledger-steps li")).to_have_count(3)
    expect(one.locator(".ledger-steps li").first).to_contain_text("Explained")


def test_the_books_are_shown_as_of_a_position_and_compared_with_another(open_page: OpenPage) -> None:
    account = "a-book"  # first on a page of fifty
    accept(CreateAccount(account, "Somebody", "NOK", Decimal(10)))
    before = settled()
    deposit(account, amount="2.50")
    after = settled()
    wait_until_applied(after)
    page = open_page("/admin/books/")
    page.get_by_label("Cut by").select_option("position")
    page.get_by_label("At: an instant").fill(str(before))
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("sums to zero").first).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(rf"^{account} 10\.00 NOK"))).to_be_visible()
    page.get_by_label("Compare with").fill(str(after))
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", name="1 account differs")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(rf"^{account} 10\.00 NOK 12\.50 NOK \+2\.50 NOK"))).to_be_visible()


def test_a_transfer_is_found_by_its_state_and_its_steps_are_shown(open_page: OpenPage, live_system: LiveSystem) -> None:
    source, target = new_account(balance="9.00"), new_account()
    transfer_id = transfer_over_http(live_system, source, target, "4.00")
    wait_until_applied(settled())
    page = open_page(f"/admin/projections/transfer/?status=completed&from_account_id={source}")
    page.locator(".result-list a").first.click()
    expect(page).to_have_url(re.compile(transfer_id))
    steps = page.locator("[data-timeline-step]")
    expect(steps).to_have_count(1)
    expect(steps.first).to_contain_text("all 2 events or none")
    expect(steps.first.locator("[data-ordering]")).to_be_visible()
    page.goto(f"/admin/projections/transfer/?status=failed&from_account_id={source}")
    expect(page.locator(".result-list a")).to_have_count(0)


def test_a_statement_is_narrowed_and_exported_as_it_is_shown(open_page: OpenPage) -> None:
    account = new_account(balance="1.00")
    deposit(account, 3, "20.00")
    wait_until_applied(settled())
    page = open_page(f"/admin/projections/account/{account}/change/")
    expect(page.locator(".ledger-lines tbody tr")).to_have_count(4)
    page.get_by_label("Amount from").fill("5")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".ledger-lines tbody tr")).to_have_count(3)
    page.locator("#statement").get_by_role("link", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    header, *lines = download.value.path().read_text().splitlines()
    assert len(lines) == 3
    assert header.startswith("position,event_id,account_id")


def test_an_accounts_evidence_is_taken_away_and_proves_itself(open_page: OpenPage, tmp_path: Path) -> None:
    account = new_account(balance="3.00")
    deposit(account, 2)
    signed_up_to(settled())
    page = open_page("/admin/integrity/")
    vkey = page.locator("#vkey").inner_text()
    page.get_by_label("Evidence bundle of an account").fill(account)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    bundle = tmp_path / "evidence.zip"
    download.value.save_as(bundle)
    checked = check(bundle, "--key", vkey)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_several_accounts_pay_one_on_a_phone_and_it_is_seen_arriving(open_page: OpenPage) -> None:
    one, two, three = new_account(balance="5.00"), new_account(balance="5.00"), new_account()
    settled()
    page = open_page("/admin/commands/multi-transfer/", who="operator", viewport=PHONE)
    sources = page.locator("[data-side=sources]")
    expect(sources.locator("[data-line]")).to_have_count(2)
    sources.get_by_role("button", name="Add a line").click()
    expect(page.get_by_label("From 3: account")).to_be_focused()
    page.get_by_label("From 1: account").fill(one)
    page.get_by_label("From 1: amount").fill("2")
    page.get_by_label("From 3: account").fill(two)
    page.get_by_label("From 3: amount").fill("9")
    page.get_by_label("To 1: account").fill(three)
    page.get_by_label("To 1: amount").fill("11")
    page.get_by_label("To 1: amount").press("Enter")
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("[id='err-sources.1.amount']")).to_contain_text("insufficient_funds")
    page.get_by_label("From 2: amount").fill("3")
    page.get_by_label("To 1: amount").fill("5")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("[data-side=sources] tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Confirm").dblclick()
    expect(page.locator("[data-arrived]", has_text="arrived")).to_have_count(3)
