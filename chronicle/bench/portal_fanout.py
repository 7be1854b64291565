"""Two hundred browsers that follow the live feed of one web process while deposits come in over HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterable

import psutil

from chronicle.bench import portal_clients
from chronicle.bench.http_load import at_rate
from chronicle.bench.report import Figure
from ledger.store import journal

CLIENTS = 200
RATE_PER_S, SECONDS = 100, 40
BEHIND_MS_MAX = 1_000
CONNECTIONS = 32
END_S_MAX = 60.0


def fan_out(web: int, port: int, cookie: str, deposit: Callable[[int], bytes]) -> Iterable[Figure]:
    """Let them all follow, and ask how old each event was when it reached each of them. `web`: the process's id."""
    after = journal.head().position
    last = after + RATE_PER_S * SECONDS
    arguments = [f"ws://127.0.0.1:{port}", cookie, str(CLIENTS), str(after), str(last)]
    command = [sys.executable, "-m", portal_clients.__name__, *arguments]
    clients = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert clients.stdout is not None
        line = clients.stdout.readline().strip()
        assert line == portal_clients.READY, f"the clients did not connect: {line}"
        serving = psutil.Process(web)
        used_before = sum(serving.cpu_times()[:2])
        kept_per_s = asyncio.run(at_rate(port, CONNECTIONS, RATE_PER_S, RATE_PER_S * SECONDS, 201, deposit))
        used_s = sum(serving.cpu_times()[:2]) - used_before
        result, _ = clients.communicate(timeout=END_S_MAX)
    finally:
        clients.kill()
        clients.wait()
    assert clients.returncode == 0, "a client missed an event, or had one twice: see above"
    seen = json.loads(result)
    assert seen["events"] == CLIENTS * RATE_PER_S * SECONDS, "every client had every event once"
    name = f"{CLIENTS} browsers, {RATE_PER_S} events/s for {SECONDS} s: recorded to received"
    median, worst = seen["p50"], seen["worst"]
    yield Figure(f"{name}, median", "ms", None, (median, median, worst))
    yield Figure(f"{name}, p99", "ms", None, (seen["p99"], median, worst))
    behind = (worst, seen["worst_of_median_client"], worst)
    yield Figure(f"{name}, the worst of all clients", "ms", BEHIND_MS_MAX, behind, lower_is_better=True)
    yield Figure("the rate that was kept", "events/s", 0.95 * RATE_PER_S, (kept_per_s, kept_per_s, kept_per_s))
    share = 100 * used_s * kept_per_s / (RATE_PER_S * SECONDS)
    yield Figure("the web process meanwhile, of one core", "%", None, (share, share, share))
