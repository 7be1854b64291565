"""How soon a page is of use: Chromium opens each page of the portal, and notes when its main content was painted.

What counts as useful is named for each page by a selector of its own content, a row or a figure that came from the
ledger, never the frame around it. The time runs from the navigation to the frame that shows it, as the page's own
clock tells it, so a page that paints its frame first and its rows later is measured by its rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chronicle.bench import chromium
from chronicle.bench.portal_history import Sample
from chronicle.bench.report import Figure, summary

PAINT_MS_MAX = 500
LOOKS = 5
VIEWPORT: Any = {"width": 1440, "height": 900}
PAGE_S_MAX = 30
ROW = "#result_list tbody tr"

# Runs in every page before anything of the page itself: asks at each frame whether the content is there, and takes
# the time when that frame has been painted, or the first contentful paint if that is said to be later.
WATCH = """
(contents) => {
  const content = contents[location.pathname + location.search];
  if (!content) return;
  let painted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") painted = entry.startTime;
  }).observe({ type: "paint", buffered: true });
  const look = () => {
    const found = document.querySelector(content);
    if (!found?.getClientRects().length) return requestAnimationFrame(look);
    const done = () => {
      if (!painted) return setTimeout(done, 1);
      window.benchPaint = { first: painted, useful: Math.max(useful, painted) };
    };
    let useful = 0;
    setTimeout(() => { useful = performance.now(); done(); });
  };
  requestAnimationFrame(look);
}
"""


def pages(sample: Sample) -> dict[str, tuple[str, str, str]]:
    """Return each page's name with its address, the selector of its main content and who opens it."""

    def at(page: str, *arguments: Any, **query: Any) -> str:
        address = reverse(f"admin:{page}", args=arguments)
        return f"{address}?{urlencode(query)}" if query else address

    account, long = quote(sample.account_id), quote(sample.long_id)
    lines, changelist = "#statement tbody tr", "changelist"
    found = {
        "dashboard": (at("index"), "#totals .ledger-figure"),
        "live events": (at("live"), "#live-rows .ledger-row"),
        "live events, by text": (at("live", text="bench"), "#live-rows .ledger-row"),
        "account": (at("projections_account_change", account), lines),
        "account of 120,000 events": (at("projections_account_change", long), lines),
        "its statement, by text": (
            at("projections_account_change", long, text="invoice 1199"),
            f"{lines}, #statement .ledger-empty",
        ),
        "time travel": (at("time_travel", long, version=60_000), "#travel-step [data-place=this]"),
        "books as of, opened": (at("books"), ".ledger-filter"),
        "books as of a position": (at("books", by="position", at=sample.middle), "[data-side] tbody tr"),
        "two sets of books against each other": (
            at("books", by="position", at=sample.middle, against=sample.head),
            "[data-side] tbody tr",
        ),
        "the accounts of an owner of many": (at("owner", account_id=sample.long_id), "#movements tbody tr"),
        "reversals": (at("reversals", forced="on"), "[aria-label=Reversals]"),
        "transfers": (at(f"projections_transfer_{changelist}"), ROW),
        "transfers of an account": (at(f"projections_transfer_{changelist}", from_account_id=sample.account_id), ROW),
        "transfer": (at("projections_transfer_change", sample.transfer_id), "[aria-labelledby=timeline-title] li"),
        "integrity": (at("integrity"), "#head-note"),
        "proof of an event": (at("integrity-event", event=sample.event_id), "[aria-labelledby=path-title] code"),
        "findings": (at(f"auditor_finding_{changelist}"), "#changelist"),
        "exports": (at("exports"), "[aria-labelledby=history-title]"),
        "access log": (at(f"auditor_accesslogentry_{changelist}"), ROW),
        "journal": (at(f"ledger_journalentry_{changelist}"), ROW),
        "journal, from the middle": (at(f"ledger_journalentry_{changelist}", after=sample.middle), ROW),
        "journal, by type": (at(f"ledger_journalentry_{changelist}", event_type="MoneyWithdrawn"), ROW),
        "events": (at(f"ledger_event_{changelist}"), ROW),
        "events of an account": (at(f"ledger_event_{changelist}", aggregate_id=sample.account_id), ROW),
        "event": (at("ledger_event_change", sample.event_id), ".ledger-json"),
        "accounts": (at(f"projections_account_{changelist}"), ROW),
        "accounts, by part of an id": (at(f"projections_account_{changelist}", q=sample.account_id[6:14]), ROW),
        "accounts, by currency": (at(f"projections_account_{changelist}", currency="USD"), ROW),
        "transactions": (at(f"projections_transaction_{changelist}"), ROW),
        "transactions of an account": (at(f"projections_transaction_{changelist}", account_id=sample.long_id), ROW),
        "postings": (at(f"projections_posting_{changelist}"), ROW),
    }
    return {
        **{name: (*page, "auditor") for name, page in found.items()},
        "operations": (at("operations"), "[aria-labelledby=projections-title] tbody tr", "admin"),
        "commands": (at("command", "deposit"), "form [name=amount]", "operator"),
    }


def cookie_of(username: str) -> str:
    """Sign a demo user in and return the session's cookie, which is all that a browser has of it."""
    client = Client()
    client.force_login(User.objects.get(username=username))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@contextmanager
def browser(program: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=list(chromium.ARGUMENTS))
        yield running
        running.close()


def signed_in(running: Any, url: str, cookie: str) -> Any:
    """Return a browser context, with a cache of its own, in which somebody is signed in."""
    context = running.new_context(viewport=VIEWPORT, base_url=url)
    context.set_default_timeout(1000 * PAGE_S_MAX)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}])
    return context


def open_pages(running: Any, url: str, cookies: dict[str, str], sample: Sample) -> Iterable[Figure]:
    """Open every page in an empty browser, then again and again as somebody who works in the portal does."""
    from playwright.sync_api import TimeoutError as NeverShown

    first_looks: list[float] = []
    for name, (address, content, who) in pages(sample).items():
        context = signed_in(running, url, cookies[who])
        context.add_init_script(f"({WATCH})({json.dumps({address: content})})")
        page = context.new_page()
        try:
            looks = [_look(page, address) for _ in range(1 + LOOKS)]
        except NeverShown as error:
            raise RuntimeError(f"{name} ({address}) never showed {content}") from error
        finally:
            context.close()
        first_looks.append(looks[0]["useful"])
        useful = summary([look["useful"] for look in looks[1:]])
        yield Figure(f"{name}: first useful paint", "ms", PAINT_MS_MAX, useful, lower_is_better=True)
    yield Figure("the same pages in a browser that has nothing of them yet", "ms", PAINT_MS_MAX, summary(first_looks),
                 lower_is_better=True)  # fmt: skip


def _look(page: Any, address: str) -> dict[str, float]:
    page.goto(address, wait_until="commit")
    page.wait_for_function("window.benchPaint", polling=50)
    painted: dict[str, float] = page.evaluate("window.benchPaint")
    page.goto("about:blank")
    return painted
