"""Takes the pictures of the portal's tools in docs/screenshots/: `make screenshots`."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import settled
from tests.browser.test_portal_integrity import signed_up_to
from tests.browser.test_screenshots import BYTES_MAX, FOLDER
from tests.read_world import wait_until_applied
from tests.servers import run_manage

pytestmark = [pytest.mark.screenshots, pytest.mark.timeout(600)]
COMMANDS = 400
ACCOUNT = "demo-001-bakery"
# Two more of its currency.
OTHER, THIRD = "demo-008-florist", "demo-007-ferry"
LOOKS = [("light", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light")]
SHOTS = [
    ("integrity", "auditor", "/admin/integrity/"),
    ("proof", "auditor", "/admin/integrity/event/?event=77"),
    ("findings", "auditor", "/admin/auditor/finding/"),
    ("export", "auditor", f"/admin/exports/new/?list=projections.transaction&account_id={ACCOUNT}"),
    ("commands", "operator", "/admin/commands/"),
    ("command", "operator", f"/admin/commands/transfer/?from_account_id={ACCOUNT}"),
    ("confirmation", "operator", "/admin/commands/multi-transfer/"),
    ("result", "operator", "/admin/commands/multi-transfer/"),
    ("exports", "auditor", "/admin/exports/"),
    ("access-log", "auditor", "/admin/auditor/accesslogentry/"),
    ("transfers", "auditor", "/admin/projections/transfer/?kind=saga"),
    ("journal", "auditor", "/admin/ledger/journalentry/"),
    ("books", "auditor", "/admin/books/?by=position&at=100&against=300"),
    ("operations", "admin", "/admin/operations/"),
]


def test_screenshots_of_the_tools(open_page: OpenPage, live_system: LiveSystem) -> None:
    run_manage("simulate_traffic", "--commands", str(COMMANDS))
    head = settled()
    wait_until_applied(head)
    signed_up_to(head)
    _verify_and_mark(open_page("/admin/integrity/"))
    for look, viewport, scheme in LOOKS:
        for name, who, address in SHOTS:
            page = open_page("/admin/", who=who, viewport=viewport, color_scheme=scheme)
            page.goto(address)
            page.wait_for_load_state("networkidle")
            if name in ("confirmation", "result"):
                _pay_together(page, is_confirmed=name == "result")
            if name == "operations":
                expect(page.locator("[data-state=live]")).to_be_visible()
            path = FOLDER / f"{name}-{look}.png"
            page.screenshot(path=path, animations="disabled")
            assert path.stat().st_size < BYTES_MAX, f"{path.name} is too large for the repository"
            page.context.close()


def _pay_together(page: Page, *, is_confirmed: bool) -> None:
    """Fill a transfer with several accounts in, and confirm it."""
    for label, account, amount in (("From 1", ACCOUNT, "3.00"), ("From 2", OTHER, "2.00"), ("To 1", THIRD, "5.00")):
        page.get_by_label(f"{label}: account").fill(account)
        page.get_by_label(f"{label}: amount").fill(amount)
    page.get_by_label("Description").fill("The market's new roof")
    page.get_by_role("button", name="Continue").click()
    confirm = page.get_by_role("button", name="Confirm")
    expect(confirm).to_be_visible()
    if is_confirmed:
        confirm.click()
        expect(page.locator("[data-arrived]", has_text="arrived")).to_have_count(3)


def _verify_and_mark(page: Page) -> None:
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("No fault found").first).to_be_visible()
    for note, state in (
        ("Paid twice on one day; the baker is asked.", "Open"),
        ("A refund, see invoice 77.", "Explained"),
    ):
        page.goto(f"/admin/findings/new/?kind=account&subject={ACCOUNT}")
        page.get_by_label("Note").fill(note)
        page.get_by_label("State").select_option(state)
        page.get_by_role("button", name="Save the finding").click()
        expect(page.get_by_text("What happened so far")).to_be_visible()
