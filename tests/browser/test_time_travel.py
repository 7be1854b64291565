"""Time travel in a real browser: the slider against the API, the keys, the player, and an address that is shared."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.live_system import LiveSystem
from tests.browser.money import ANSWER_S_MAX, deposit, new_account, settled

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEPOSITS = 30


def address(account: str) -> str:
    return f"/admin/projections/account/{account}/time-travel/"


def lived() -> str:
    """Return an account whose events lie apart from each other in time, each a batch of its own."""
    account = new_account(balance="10.00")
    for number in range(1, DEPOSITS + 1):
        deposit(account, amount=f"{number}.00")
    settled()
    return account


def step(page: Page, name: str) -> int:
    return int(page.locator("[data-step]").get_attribute(f"data-{name}") or "")


def expect_version(page: Page, version: int) -> None:
    expect(page.locator("[data-step]")).to_have_attribute("data-version", str(version))


def balance(page: Page) -> Decimal:
    return Decimal(page.locator("[data-summary=balance]").inner_text().split()[0].replace(",", ""))


def slide_to(page: Page, offset_us: int) -> None:
    """Put the slider where a hand would, and wait for the step."""
    page.locator("#travel-slider").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        offset_us,
    )
    expect(page.locator("[data-step]")).to_have_attribute("data-at-us", str(step(page, "first-us") + offset_us))


def balance_over_http(server: LiveSystem, account: str, at: str) -> Decimal:
    answer = httpx.get(
        f"{server.url}/api/v1/accounts/{account}/balance-at",
        params={"timestamp": at},
        headers=server.token_header("auditor"),
        timeout=ANSWER_S_MAX,
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    return Decimal(answer.json()["balance"])


def test_the_slider_shows_the_balance_of_the_api_at_ten_random_instants(
    open_page: OpenPage, live_system: LiveSystem
) -> None:
    account = lived()
    page = open_page(address(account))
    first_us, last_us = step(page, "first-us"), step(page, "last-us")
    choose = random.Random()
    seen = set()
    # The first event too: on a slow machine all ten may fall behind the last.
    for offset_us in [0, *(choose.randint(0, last_us - first_us) for _ in range(10))]:
        slide_to(page, offset_us)
        at = (EPOCH + timedelta(microseconds=first_us + offset_us)).isoformat(timespec="microseconds")[:-6] + "Z"
        assert page.locator("#travel-at").input_value() == at
        assert balance(page) == balance_over_http(live_system, account, at), at
        seen.add(step(page, "version"))
    assert len(seen) > 1, "the instants are of several versions"


def test_keys_step_through_the_life_and_the_differences_follow(open_page: OpenPage) -> None:
    page = open_page(address(lived()))
    last = step(page, "versions")
    assert last == DEPOSITS + 2  # created, and what it began with
    page.keyboard.press("ArrowLeft")
    expect_version(page, last - 1)
    changed = page.locator("[data-differences=changes] .is-changed")
    expect(changed).to_have_count(1)
    expect(changed).to_contain_text("balance")
    page.keyboard.press("ArrowRight")
    expect_version(page, last)
    page.locator("#travel-slider").focus()
    page.keyboard.press("Home")
    expect_version(page, 1)
    page.keyboard.press("ArrowUp")
    expect_version(page, 2)
    assert balance(page) == Decimal("10.00")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-said]")).to_contain_text("The account did not exist at")
    page.keyboard.press("End")
    expect_version(page, last)


def test_what_is_on_the_screen_is_in_the_address(open_page: OpenPage) -> None:
    account = lived()
    page = open_page(address(account))
    slide_to(page, (step(page, "last-us") - step(page, "first-us")) // 3)
    expect(page).to_have_url(re.compile(r"\?at=\d{4}-"))
    shared, shown = page.url.split("/", 3)[3], page.locator("[data-said]").inner_text()
    other = open_page(f"/{shared}".split("?")[0], who="operator")
    other.goto(f"/{shared}")
    expect(other.locator("[data-said]")).to_have_text(shown)
    assert balance(other) == balance(page)


def test_the_field_takes_a_microsecond_and_says_what_it_cannot_take(open_page: OpenPage, watched: Any) -> None:
    page = open_page(address(lived()))
    page.keyboard.press("ArrowLeft")
    version = step(page, "versions") - 1
    expect_version(page, version)
    field = page.get_by_label("Instant (UTC, to the microsecond)")
    at = datetime.fromisoformat(field.input_value())
    field.fill((at - timedelta(microseconds=1)).isoformat(" ")[:26])
    field.press("Enter")
    expect_version(page, version - 1)
    field.fill("half past")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#travel-error")).to_contain_text("Write an instant as")
    expect_version(page, version - 1)
    # What a browser itself says of an answer of 400 is meant here.
    watched.console = [line for line in watched.console if "400 (Bad Request)" not in line]


def test_the_player_runs_to_the_end_and_stops(open_page: OpenPage) -> None:
    page = open_page(address(lived()))
    page.get_by_label("Events per second").select_option("10")
    page.locator("[data-go=first]").click()
    expect_version(page, 1)
    play = page.locator("#travel-play")
    play.click()
    expect(play).to_have_text(re.compile("Stop"))
    expect_version(page, step(page, "versions"))
    expect(play).to_have_text(re.compile("Play"))
    expect(play).to_have_attribute("aria-pressed", "false")


def test_an_event_that_comes_meanwhile_is_within_reach(open_page: OpenPage) -> None:
    account = lived()
    page = open_page(address(account))
    last = step(page, "versions")
    deposit(account, amount="1000.00")
    page.keyboard.press("ArrowLeft")
    expect_version(page, last - 1)
    page.keyboard.press("End")
    expect_version(page, last + 1)


def test_a_server_that_is_away_is_said_and_the_step_stays(
    open_page: OpenPage, live_system: LiveSystem, watched: Any
) -> None:
    page = open_page(address(lived()))
    last = step(page, "versions")
    page.context.set_offline(True)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#travel-error")).to_contain_text("The server cannot be reached")
    expect_version(page, last)
    page.context.set_offline(False)
    page.keyboard.press("ArrowLeft")
    expect_version(page, last - 1)
    expect(page.locator("#travel-error")).to_be_hidden()
    watched.console = [line for line in watched.console if "ERR_INTERNET_DISCONNECTED" not in line]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_scrolls_sideways_and_the_slider_stands_below_its_chart(open_page: OpenPage, viewport: Any) -> None:
    account = lived()
    page = open_page(address(account), viewport=viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    box = page.locator("#travel-slider").bounding_box()
    panel = page.locator("section", has=page.locator("#travel-slider")).first.bounding_box()
    assert box is not None
    assert panel is not None
    assert panel["x"] < box["x"]
    assert box["x"] + box["width"] < panel["x"] + panel["width"]


def test_an_auditors_look_is_in_the_access_log_once_however_many_steps_it_took(open_page: OpenPage) -> None:
    account = lived()
    page = open_page(address(account))
    for version in range(DEPOSITS + 1, DEPOSITS - 4, -1):
        page.keyboard.press("ArrowLeft")
        expect_version(page, version)
    page.goto(f"/admin/auditor/accesslogentry/?q={account}")
    looks = page.locator(".result-list tbody tr", has_text=account)
    expect(looks).to_have_count(1)
    expect(looks).to_contain_text("auditor")
    expect(looks).to_contain_text("/time-travel/")


def test_without_a_script_the_steps_are_links(open_page: OpenPage) -> None:
    account = lived()
    page = open_page(address(account), java_script_enabled=False)
    last = step(page, "versions")
    page.locator("[data-go=back]").click()
    expect_version(page, last - 1)
    expect(page.locator("#travel-slider")).to_be_hidden()
