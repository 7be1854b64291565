"""The way of a command through the web: one daphne process, many writers, a hot account.

Every figure is a ratio inside one run: rounds of the two things that are compared alternate, so that whatever
else the machine does falls on both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from django.core.management import call_command

from chronicle.bench.http_load import answers_per_second, request
from chronicle.bench.report import Figure, summary
from chronicle.bench.scratch import worker
from chronicle.bench.spine import accounts, caught_up
from chronicle.stack.ports import ReservedPort

WRITERS = 64
SPREAD_ACCOUNTS = 10_000
ROUNDS, ROUND_S = 5, 4.0
START_S_MAX = 60.0


class Web(NamedTuple):
    port: int
    pid: int


@contextmanager
def daphne() -> Iterator[Web]:
    """Run one web process."""
    reserved = ReservedPort()
    reserved.release()
    port = reserved.number
    web = [sys.executable, "-m", "daphne", "--bind", "127.0.0.1", "--port", str(port), "--verbosity", "0"]
    process = subprocess.Popen([*web, "chronicle.asgi:application"], stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        yield Web(port, process.pid)
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 (an address of our own)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def operator_token() -> str:
    path = Path(os.environ["CHRONICLE_DATA"]) / "bench-credentials.json"
    call_command("create_demo_users", credentials=path, url="http://127.0.0.1/")
    token: str = json.loads(path.read_text())["operator"]["token"]
    return token


def deposits(token: str, ids: list[str]) -> Callable[[int], bytes]:
    """Return what makes the n-th deposit, going round the accounts."""
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def nth(number: int) -> bytes:
        body = {"account_id": ids[number % len(ids)], "amount": "1.00", "description": "bench"}
        return request("POST", "/api/v1/commands/deposit", headers, json.dumps(body).encode())

    return nth


def ratio(name: str, floor: float, one: Callable[[], float], other: Callable[[], float]) -> list[Figure]:
    """Return both rates and the first as a percentage of the second, measured in alternating rounds."""
    rates = [(one(), other()) for _ in range(ROUNDS)]
    ones, others = zip(*rates, strict=True)
    shares = [100 * a / b for a, b in rates]
    return [
        Figure(f"{name}: rate", "requests/s", None, summary(list(ones))),
        Figure(f"{name}: rate of what it is held against", "requests/s", None, summary(list(others))),
        Figure(name, "%", floor, summary(shares)),
    ]


def measure_all() -> Iterable[Figure]:
    token, spread = operator_token(), accounts(SPREAD_ACCOUNTS)
    empty = request("GET", "/healthz", {})
    with worker("relay_events"), worker("run_projections"), daphne() as web:
        port = web.port
        caught_up()

        def deposit(ids: list[str]) -> Callable[[], float]:
            return lambda: answers_per_second(port, WRITERS, ROUND_S, 201, deposits(token, ids))

        def nothing() -> float:
            return answers_per_second(port, WRITERS, ROUND_S, 200, lambda _: empty)

        hot = deposit(spread[:1])
        yield from ratio(f"{WRITERS} writers on one account, of {SPREAD_ACCOUNTS:,} accounts", 80, hot, deposit(spread))
        yield from ratio(f"{WRITERS} writers' deposits, of an empty view", 60, deposit(spread), nothing)
