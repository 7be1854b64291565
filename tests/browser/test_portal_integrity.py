"""Integrity in a real browser: a verification watched to its end over a reload, a head taken away and brought back."""

from __future__ import annotations

import re

import psycopg
from django.conf import settings
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import deposit, new_account, settled
from tests.servers import libpq
from tests.waiting import wait_for

INTEGRITY = "/admin/integrity/"


def signed_up_to(position: int) -> None:
    """Wait until the relay has signed a head over a position."""
    from ledger.store import tree_heads
    from ledger.store.connection import connection

    def is_signed() -> bool:
        with connection() as conn:
            head = tree_heads.last(conn)
        return head is not None and head.tree_size >= position

    wait_for(is_signed, f"a head over position {position}")


def test_a_verification_is_watched_to_its_verdict_across_a_reload(open_page: OpenPage, live_system: LiveSystem) -> None:
    deposit(new_account(), 2_000)
    signed_up_to(settled())
    page = open_page(INTEGRITY)
    page.get_by_role("button", name="Verify now").click()
    bar, verdict = page.locator("[data-job] progress"), page.get_by_text("No fault found")
    # It may be over before anybody has looked.
    expect(bar.or_(verdict).first).to_be_visible()
    page.reload()
    expect(verdict.first).to_be_visible()
    expect(bar).to_have_count(0)
    page.get_by_role("link", name=re.compile(r"^\d+$")).first.click()
    expect(page).to_have_url(re.compile(r"/admin/integrity/runs/\d+/$"))
    expect(page.locator(".ledger-verdict-title")).to_have_text("No fault found")


def test_a_verification_that_was_just_begun_says_how_far_it_is(open_page: OpenPage) -> None:
    with psycopg.connect(libpq(settings.DATABASE_URL), autocommit=True) as portal:
        ((job_id,),) = portal.execute(
            "INSERT INTO jobs (kind, subject, options, state, done, result, error, started_by_id, started_at, heard_at) "
            "SELECT 'verify', '', '{}', 'running', 0, '{}', '', id, now(), now() FROM auth_user "
            "WHERE username = 'auditor' RETURNING id"
        ).fetchall()
        page = open_page(INTEGRITY)
        line, bar = page.locator("[data-job] .ledger-job-line"), page.locator("[data-job] progress")
        for done, said in ((250, "250 of 4,000 events · 6 %"), (3_999, "3,999 of 4,000 events · 99 %")):
            portal.execute("UPDATE jobs SET done = %s, total = 4000, heard_at = now() WHERE id = %s", (done, job_id))
            expect(line).to_contain_text(said)
            assert bar.evaluate("bar => [bar.value, bar.max]") == [done, 4_000]
        portal.execute("UPDATE jobs SET state = 'failed', error = 'Lost', ended_at = now() WHERE id = %s", (job_id,))
    # The page comes anew by itself.
    expect(page.get_by_text("Lost")).to_be_visible()
    expect(page.get_by_role("button", name="Verify now")).to_be_visible()


def test_an_event_is_looked_up_and_its_path_is_drawn_to_the_root(open_page: OpenPage) -> None:
    deposit(new_account(), 5)
    head = settled()
    signed_up_to(head)
    page = open_page(INTEGRITY)
    page.get_by_label("Event id or position").fill(str(head))
    page.get_by_role("button", name="Show its proof").click()
    expect(page.locator(".ledger-verdict-title")).to_have_text("This event is in the signed log")
    expect(page.locator(".ledger-path-end .ledger-hash")).to_have_count(2)
    root, signed = page.locator(".ledger-path-end .ledger-hash").all_inner_texts()
    assert root == signed
    with page.expect_download() as download:
        page.get_by_role("link", name="tlog-proof").click()
    assert download.value.path().read_text().startswith("c2sp.org/tlog-proof@v1\n")
    with page.expect_download() as download:
        page.get_by_role("link", name="Evidence bundle").click()
    assert download.value.path().read_bytes().startswith(b"PK")


def test_a_head_that_was_copied_is_still_the_same_history_later(open_page: OpenPage) -> None:
    signed_up_to(settled())
    page = open_page(INTEGRITY)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the head").click()
    kept = page.evaluate("navigator.clipboard.readText()")
    deposit(new_account(), 3)
    signed_up_to(settled())
    page.get_by_label("Signed tree head").fill(kept)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".ledger-verdict-title")).to_have_text("The same history")
    page.get_by_label("Signed tree head").fill(kept.replace("\n\n", "\n"))
    page.get_by_role("button", name="Compare again").click()
    expect(page.locator(".ledger-verdict-title")).to_have_text(re.compile("Not "))
