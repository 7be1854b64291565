"""Many browsers that follow the live feed: as many websockets as asked for, in a process of their own.

    python -m chronicle.bench.portal_clients <url> <cookie> <clients> <after> <last>

Each client connects as a browser does, with a session's cookie and an Origin, begins after the position `after` and
ends with `last`. A client that gets an event twice, out of order or not at all ends the process with an error. When
all are connected it prints a line, and at the end the milliseconds from each event's `recorded_at` to its arrival:
the median, 95th and 99th percentile and the worst over every event and client, and of each client's worst the median.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import datetime
from functools import lru_cache
from statistics import median

import orjson

CONNECTING_AT_ONCE = 20
WAIT_S = 120.0
READY = "connected"


@lru_cache(maxsize=100_000)
def recorded_ms(recorded_at: str) -> float:
    return datetime.fromisoformat(recorded_at).timestamp() * 1000


class Clients:
    """As many connections as asked for, and how old each event was when it came to each of them."""

    def __init__(self, url: str, cookie: str, after: int, last: int) -> None:
        self._url, self._cookie, self._after, self._last = url, cookie, after, last
        self._gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._missing = 0
        self._all_connected = asyncio.Event()

    async def follow(self, count: int) -> list[list[float]]:
        """Return, for each client, how many milliseconds old each event was, in their order."""
        self._missing = count
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one()) for _ in range(count)]
            await self._all_connected.wait()
            print(READY, flush=True)  # noqa: T201 (for the process that started this one)
        return [task.result() for task in tasks]

    async def _one(self) -> list[float]:
        from websockets.asyncio.client import connect

        address = f"{self._url}/ws/events?after={self._after}"
        headers = {"Cookie": self._cookie, "Origin": self._url.replace("ws:", "http:")}
        await self._gate.acquire()
        async with connect(address, additional_headers=headers, max_size=None) as socket:
            await socket.recv()  # the first status: it is being served
            self._gate.release()
            self._missing -= 1
            if not self._missing:
                self._all_connected.set()
            late_ms: list[float] = []
            position = self._after
            while position < self._last:
                frame = orjson.loads(await socket.recv())
                now_ms = time.time() * 1000
                for event in frame["events"] if frame["kind"] == "events" else ():
                    assert event["position"] == position + 1, f"{event['position']} came after {position}"
                    position += 1
                    late_ms.append(now_ms - recorded_ms(event["recorded_at"]))
        return late_ms


def main() -> None:
    url, cookie, clients, after, last = sys.argv[1:]
    late_ms = asyncio.run(Clients(url, cookie, int(after), int(last)).follow(int(clients)))
    every = sorted(ms for of_client in late_ms for ms in of_client)
    at = {name: every[int(share * (len(every) - 1))] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    worst = [max(of_client) for of_client in late_ms]
    print(json.dumps({**at, "worst": max(worst), "worst_of_median_client": median(worst), "events": len(every)}))  # noqa: T201


if __name__ == "__main__":
    main()
