"""Exports in a real browser: asked for from a list, downloaded, counted; and a client that does not read."""

from __future__ import annotations

import re
import socket

import httpx
import psycopg
from django.conf import settings
from playwright.sync_api import expect

from chronicle.stack.ports import LOOPBACK
from tests.browser.conftest import OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import browsing, deposit, new_account, settled
from tests.read_world import wait_until_applied
from tests.servers import libpq
from tests.waiting import wait_for

EVENTS_OWED = 12_000  # some 15 MB as JSON Lines, of which the kernel takes 4 at most


def test_a_narrowed_list_is_downloaded_and_its_rows_are_counted(open_page: OpenPage) -> None:
    account = new_account(balance="1.00")
    deposit(account, 30)
    wait_until_applied(settled())
    page = open_page(f"/admin/projections/transaction/?account_id={account}")
    page.get_by_role("link", name="Export", exact=True).click()
    page.get_by_label("JSON Lines").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert len(download.value.path().read_text().splitlines()) == 31
    expect(page.locator("#export [data-word]")).to_have_text(re.compile("Complete|Done"))
    expect(page.locator("#export [data-done]")).to_have_text("31")
    page.reload()
    expect(page.locator("#export")).to_have_attribute("data-state", "done")


def test_a_client_that_does_not_read_is_sent_no_more_than_it_takes(live_system: LiveSystem) -> None:
    deposit(new_account(), EVENTS_OWED)
    settled()
    with browsing(live_system) as client, socket.socket() as sleeper:
        sign_in(client, live_system.credentials["auditor"])
        sleeping, reading = ask(client), ask(client)
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect((LOOPBACK, live_system.port))
        cookie = f"sessionid={client.cookies['sessionid']}"
        sleeper.sendall(f"GET {sleeping} HTTP/1.1\r\nHost: {LOOPBACK}\r\nCookie: {cookie}\r\n\r\n".encode())
        asleep = int(sleeping.split("/")[3])
        wait_for(lambda: state_and_rows(asleep)[1] > 0, "a first piece")
        # Somebody else is served meanwhile, and that takes as long as serving the sleeper would have taken.
        assert len(client.get(reading).text.splitlines()) >= EVENTS_OWED
        state, rows = state_and_rows(asleep)
        assert state == "running"
        assert rows < EVENTS_OWED / 2
    wait_for(lambda: state_and_rows(asleep)[0] == "stopped", "an export that was cut off")


def state_and_rows(job_id: int) -> tuple[str, int]:
    """Not through Django: Playwright's event loop, if it runs in this thread, keeps Django from asking."""
    with psycopg.connect(libpq(settings.DATABASE_URL)) as portal:
        ((state, rows),) = portal.execute("SELECT state, done FROM jobs WHERE id = %s", (job_id,)).fetchall()
    return state, rows


def sign_in(client: httpx.Client, credentials: dict[str, str]) -> None:
    client.get("/admin/login/")
    form = {"username": credentials["username"], "password": credentials["password"], "next": "/admin/"}
    answer = client.post("/admin/login/", data={**form, "csrfmiddlewaretoken": client.cookies["csrftoken"]})
    assert answer.status_code == httpx.codes.FOUND, answer.text


def ask(client: httpx.Client) -> str:
    """Ask for all events as JSON Lines and return the file's path."""
    form = {"format": "jsonl", "csrfmiddlewaretoken": client.cookies["csrftoken"]}
    answer = client.post("/admin/exports/new/?list=ledger.event", data=form)
    assert answer.status_code == httpx.codes.FOUND, answer.text
    return f"{answer.headers['Location']}file/"
