"""An auditor in a real browser, with the session, the token of the forms and the addresses: nothing is written.

What every command answers to every role is asked in tests/integration/test_portal_refusals.py; here it is asked as a
browser asks it, with whatever a page of the portal has given it.
"""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from auditor.commands.offers import OFFERS
from ledger.api.commands import VIEWS
from tests.browser.conftest import OpenPage, Watched
from tests.browser.money import new_account, settled
from tests.ledger_world import table_sizes
from tests.read_world import wait_until_applied

# A form as a page of the portal sends it, the token that the page has for its own included.
SEND_FORM = """([action, fields]) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", action });
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    for (const [name, value] of Object.entries({ ...fields, csrfmiddlewaretoken: token })) {
        form.append(Object.assign(document.createElement("input"), { name, value }));
    }
    document.body.append(form);
    form.submit();
}"""
SEND_JSON = """async ([path, body]) => {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const headers = { "Content-Type": "application/json", "X-CSRFToken": token };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return [answer.status, (await answer.json()).code];
}"""
WITH_A_FORM = "/admin/integrity/"
GIVEN = {"account_id": "", "amount": "1.00", "reason": "None", "currency": "USD", "owner_name": "Nobody"}


@pytest.fixture
def account(open_page: OpenPage) -> str:
    account = new_account(balance="5.00")
    wait_until_applied(settled())
    return account


def refused(page: Page) -> None:
    expect(page.get_by_role("heading", name="Not for your role")).to_be_visible()


def quiet(watched: Watched) -> None:
    # What a browser itself says of an answer of 403 is meant here.
    watched.console = [line for line in watched.console if "403 (Forbidden)" not in line]


def test_an_auditor_is_refused_every_command_by_its_address_and_by_its_form(
    open_page: OpenPage, watched: Watched, account: str
) -> None:
    page, before = open_page(WITH_A_FORM), table_sizes()
    expect(page.get_by_role("link", name="Commands")).to_have_count(0)
    for command_type in OFFERS:
        for action in (f"/admin/commands/{command_type}/", f"/admin/commands/{command_type}/confirm/"):
            page.goto(action)
            refused(page)
            page.goto(WITH_A_FORM)
            with page.expect_navigation():
                page.evaluate(SEND_FORM, [action, {**GIVEN, "account_id": account}])
            refused(page)
    assert table_sizes() == before
    quiet(watched)


def test_an_auditor_is_refused_every_command_of_the_api_with_the_session_of_the_portal(
    open_page: OpenPage, watched: Watched, account: str
) -> None:
    page, before = open_page(WITH_A_FORM), table_sizes()
    for command_type in (*VIEWS, "batch"):
        answer: Any = page.evaluate(SEND_JSON, [f"/api/v1/commands/{command_type}", {**GIVEN, "account_id": account}])
        assert answer == [403, "forbidden"], command_type
    assert table_sizes() == before
    quiet(watched)


@pytest.mark.parametrize(
    "model", ["ledger/event", "ledger/journalentry", "projections/account", "auditor/accesslogentry"]
)
def test_an_auditor_adds_changes_and_deletes_no_row_by_a_form(
    open_page: OpenPage, watched: Watched, account: str, model: str
) -> None:
    page = open_page(f"/admin/projections/account/{account}/change/")  # a look, for the access log to have a row
    page.goto(f"/admin/{model}/")
    own = page.locator(".result-list a").evaluate_all("links => links.map(a => a.pathname)")
    change = next(path for path in own if path.startswith(f"/admin/{model}/") and path.endswith("/change/"))
    delete = change.removesuffix("change/") + "delete/"
    before = table_sizes()
    for action, fields in (
        (f"/admin/{model}/add/", {}), (change, {"_save": "Save"}), (delete, {"post": "yes"}),
        (f"/admin/{model}/", {"action": "delete_selected", "_selected_action": "1"}),
    ):  # fmt: skip
        page.goto(WITH_A_FORM)
        with page.expect_navigation():
            page.evaluate(SEND_FORM, [action, fields])
        refused(page)
    assert table_sizes() == before
    quiet(watched)
