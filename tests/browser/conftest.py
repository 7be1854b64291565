"""The running system, and Chromium looking at it.

Everything is asked from outside: pages, HTTP, the websocket. The one exception is that commands may also be
given to the engine in this process, which writes to the same event store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.live_system import LiveSystem
from tests.chromium import ARGUMENTS
from tests.clean import empty_everything
from tests.servers import Servers

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Of any one step on a page, on a machine that does other things too.
STEP_TIMEOUT_MS = 30_000


@pytest.fixture(scope="package")
def live_system(
    stack: Servers, django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveSystem]:
    """Web, relay and projector as processes of their own, on stores that were empty when they started.

    Not `live_server`: pytest-django does things of its own for a fixture of that name.
    """
    empty_everything(stack)
    server = LiveSystem.start(tmp_path_factory.mktemp("live-system"))
    with django_db_blocker.unblock():
        yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=STEP_TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Watched:
    """What a page did that no page of ours may do."""

    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self, page: Page, url: str) -> None:
        page.on("console", lambda m: self.console.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self._note(request.url, url))
        page.on("websocket", lambda socket: self._note(socket.url.replace("ws:", "http:"), url))

    def _note(self, requested: str, url: str) -> None:
        if not requested.startswith((url, "data:", "blob:")):
            self.foreign.append(requested)


OpenPage = Callable[..., Page]
# By user: the cookies that signing in has left in a browser.
Sessions = dict[str, Any]


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Fails the test afterwards when a page complained or asked another host. Clear `console` for what is meant."""
    watched = Watched()
    yield watched
    assert watched.console == []
    assert watched.foreign == []


@pytest.fixture(scope="package")
def sessions(live_system: LiveSystem) -> Sessions:
    """Who has signed in. One that a test ends in its own browser goes on for the others."""
    return {}


@pytest.fixture
def open_page(browser: Browser, live_system: LiveSystem, sessions: Sessions, watched: Watched) -> Iterator[OpenPage]:
    """Open a page of the portal as a signed-in user; `open_page(path, who=…, viewport=…, color_scheme=…)`.

    The first of a user signs in by the form, the others come with its session.
    """
    contexts = []

    def open_page(path: str, who: str = "auditor", viewport: Any = DESKTOP, **options: Any) -> Page:
        context = browser.new_context(viewport=viewport, base_url=live_system.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(STEP_TIMEOUT_MS)
        watched.watch(page, live_system.url)
        if who in sessions:
            context.add_cookies(sessions[who])
            page.goto(path)
        else:
            page.goto(f"/admin/login/?next={quote(path)}")
            sign_in(page, live_system.credentials[who])
        page.wait_for_url(f"**{path}")
        sessions[who] = context.cookies()
        return page

    yield open_page
    for context in contexts:
        context.close()


def sign_in(page: Page, credentials: dict[str, str]) -> None:
    page.get_by_label("Username").fill(credentials["username"])
    page.get_by_label("Password").fill(credentials["password"])
    page.get_by_role("button", name="Log in").click()
