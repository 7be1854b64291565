"""Operations in a real browser: a rebuild watched to its end, and an event that was parked tried again after the fix."""

from __future__ import annotations

import re
from decimal import Decimal
from uuid import uuid4

from playwright.sync_api import expect

from ledger.domain.commands import PlaceHold, ReleaseHold
from ledger.engine.execute import execute
from ledger.engine.submission import Submission
from tests.browser.conftest import OpenPage
from tests.browser.money import accept, deposit, new_account, settled
from tests.read_world import change_read_model, read_model, wait_until_applied
from tests.waiting import wait_for

OPERATIONS = "/admin/operations/"
REBUILT = re.compile(r"^accounts Done ")


def test_a_rebuild_is_watched_to_its_switch_and_nobody_waits_for_it(open_page: OpenPage) -> None:
    account = new_account(balance="7.00")
    deposit(account, 2_000)
    wait_until_applied(settled())
    change_read_model(f"UPDATE accounts SET owner_name = 'Nobody' WHERE account_id = '{account}'")
    page = open_page(OPERATIONS, who="admin")
    page.get_by_role("button", name="Rebuild accounts").click()
    row = page.locator("[data-projection=accounts]")
    # It may be over before anybody has looked.
    expect(row.locator("progress").or_(page.get_by_role("row", name=REBUILT)).first).to_be_visible()
    done = page.get_by_role("row", name=REBUILT)
    expect(done).to_be_visible(timeout=60_000)
    expect(row.get_by_role("button", name="Rebuild accounts")).to_be_visible()
    assert read_model("SELECT owner_name FROM accounts WHERE account_id = %s", account) == [("Somebody",)]
    deposit(account)
    head = f"{settled():,}"
    expect(row.locator("[data-position]")).to_have_text(head)
    expect(row.locator("[data-state-word]")).to_have_text("Current")


def test_a_parked_event_is_seen_with_its_reason_and_tried_again_after_the_fix(open_page: OpenPage) -> None:
    account, command_id = new_account(balance="50.00"), uuid4()
    execute([Submission(PlaceHold(account, Decimal(5), "Held"), actor="a test", command_id=command_id)])
    wait_until_applied(settled())
    # A read model that lost a row cannot take the hold's end: that event waits for a person.
    change_read_model(f"CREATE TABLE kept AS SELECT * FROM transfers WHERE transfer_id = '{command_id}'")
    change_read_model(f"DELETE FROM transfers WHERE transfer_id = '{command_id}'")
    accept(ReleaseHold(account, str(command_id)))
    head = settled()
    wait_for(lambda: bool(read_model("SELECT 1 FROM parked_events")), "a parked event")
    page = open_page(OPERATIONS, who="admin")
    parked = page.get_by_role("region", name="Parked events")
    expect(parked.get_by_role("row", name=re.compile(f"^{head:,} HoldReleased {account}"))).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("transfers: 0 applied, 1 still parked")).to_be_visible()
    change_read_model("INSERT INTO transfers SELECT * FROM kept")
    change_read_model("DROP TABLE kept")
    page.goto(OPERATIONS)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("transfers: 1 applied, 0 still parked")).to_be_visible()
    page.goto(OPERATIONS)
    expect(page.get_by_text("None: every projection could apply every event.")).to_be_visible()
    page.goto(f"/admin/projections/transfer/{command_id}/change/")
    expect(page.locator("[data-status]")).to_have_text("released")
