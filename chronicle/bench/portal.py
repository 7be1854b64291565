"""The portal's speed on the embedded stack with a million events: pages, the way to the screen, many browsers.

It takes what the tests take, Playwright with a Chromium of the system's and a websocket client that is not ours
(requirements-dev.txt); without them nothing is measured, and a sentence says so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec

from django.conf import settings

from chronicle.bench import chromium
from chronicle.bench.http import daphne, deposits, operator_token
from chronicle.bench.portal_fanout import fan_out
from chronicle.bench.portal_history import seed
from chronicle.bench.portal_pages import browser, cookie_of, open_pages, signed_in
from chronicle.bench.portal_screen import on_screen
from chronicle.bench.report import Figure
from chronicle.bench.scratch import worker
from chronicle.bench.spine import accounts, caught_up

MISSING = 3  # an exit code: something that is needed is not there
BUSY_ACCOUNTS = 1_000


def measure_all() -> Iterable[Figure]:
    program = needed()
    token, sample = operator_token(), seed()
    cookies = {who: cookie_of(who) for who in ("auditor", "operator", "admin")}
    deposit = deposits(token, accounts(BUSY_ACCOUNTS))
    with worker("relay_events"), worker("run_projections"), daphne() as web:
        caught_up()
        url = f"http://127.0.0.1:{web.port}"
        with browser(program) as running:
            yield from open_pages(running, url, cookies, sample)
            yield from on_screen(signed_in(running, url, cookies["auditor"]), web.port, deposit)
        cookie = f"{settings.SESSION_COOKIE_NAME}={cookies['auditor']}"
        yield from fan_out(web.pid, web.port, cookie, deposit)


def needed() -> str:
    """Return the path of a Chromium; leave with one sentence when that or a package is not there."""
    packages = [name for name in ("playwright", "websockets") if find_spec(name) is None]
    program = chromium.find()
    if packages or program is None:
        missing = " and ".join([*packages, *([] if program else ["a Chromium on PATH"])])
        print(f"The portal is not measured: {missing} is missing; `make bench` installs the packages.", file=sys.stderr)  # noqa: T201
        sys.exit(MISSING)
    return program
