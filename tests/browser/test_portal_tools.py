"""Every page of the portal, by role, in the light, in the dark and on a phone: whole, quiet, and open to everybody.

axe-core comes from a package that is pinned; what it calls serious or critical is a fault here.
"""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.money import deposit, new_account, settled
from tests.browser.test_portal import PAGES
from tests.browser.test_portal_integrity import signed_up_to

SERIOUS = ("serious", "critical")
LOOKS = [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")]
PAGES_BY_ROLE = {
    "auditor": [
        *PAGES, "/admin/projections/account/ACCOUNT/change/", "/admin/ledger/journalentry/1/change/",
        "/admin/integrity/", "/admin/integrity/event/?event=1", "/admin/integrity/compare/?head=nothing",
        "/admin/findings/new/?kind=account&subject=ACCOUNT", "/admin/auditor/finding/", "/admin/exports/",
        "/admin/exports/new/?list=projections.transaction&account_id=ACCOUNT",
    ],
    "operator": [
        "/admin/commands/", "/admin/commands/deposit/?account_id=ACCOUNT", "/admin/commands/transfer/",
        "/admin/commands/create-account/", "/admin/projections/account/ACCOUNT/change/",
    ],
    "admin": ["/admin/operations/", "/admin/auth/user/", "/admin/auth/group/", "/admin/knox/authtoken/"],
}  # fmt: skip


@pytest.mark.timeout(400)
@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "phone"])
@pytest.mark.parametrize("who", PAGES_BY_ROLE)
def test_every_page_is_whole_quiet_and_accessible(open_page: OpenPage, who: str, look: tuple[Any, str]) -> None:
    account = new_account(balance="12345678.90")
    deposit(account, 3)
    signed_up_to(settled())
    viewport, scheme = look
    page = open_page("/admin/", who=who, viewport=viewport, color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for address in PAGES_BY_ROLE[who]:
        answer = page.goto(address.replace("ACCOUNT", account))
        assert answer is not None
        assert answer.status == 200, address
        page.wait_for_load_state("load")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{address} is {width} px wide"
        if faults := serious_faults(page):
            found[address] = faults
    assert found == {}


def serious_faults(page: Page) -> list[str]:
    """Return what axe finds on a page, a line for each rule with the first element it is about."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']} ({len(violation['nodes'])}): {violation['nodes'][0]['html'][:160]}"
        for violation in violations
        if violation["impact"] in SERIOUS
    ]
