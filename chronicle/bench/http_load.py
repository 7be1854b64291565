"""A closed loop of HTTP/1.1 connections: each sends its next request when the last was answered.

Written on asyncio's streams because the client shares two cores with what it measures: a full client library
would be most of the load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

WARM_UP_S = 1.0
RequestOf = Callable[[int], bytes]


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a whole request; the connection stays open."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answers_per_second(port: int, connections: int, seconds: float, expected: int, request_of: RequestOf) -> float:
    """Return the rate of answers. `request_of(n)` makes the n-th request. Raises: AssertionError for another status."""
    return asyncio.run(_measure(port, connections, seconds, expected, request_of))


async def _measure(port: int, connections: int, seconds: float, expected: int, request_of: RequestOf) -> float:
    numbers = iter(range(1 << 60))
    began = time.perf_counter()
    from_, until = began + WARM_UP_S, began + WARM_UP_S + seconds
    counts = await asyncio.gather(
        *(_connection(port, expected, request_of, numbers, from_, until) for _ in range(connections))
    )
    return sum(counts) / seconds


async def _connection(port: int, expected: int, request_of: RequestOf, numbers: Iterator[int], from_: float,
                      until: float) -> int:  # fmt: skip
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    try:
        while (now := time.perf_counter()) < until:
            writer.write(request_of(next(numbers)))
            status, body = await _answer(reader)
            assert status == expected, f"{status} instead of {expected}: {body[:300]!r}"
            count += now >= from_
        return count
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
    return int(head[9:12]), await reader.readexactly(length)


async def at_rate(port: int, connections: int, per_s: float, count: int, expected: int,
                  request_of: RequestOf) -> float:  # fmt: skip
    """Send `count` requests at a rate, whatever becomes of those before, and return the rate that was kept.

    It falls short where each of the connections waits for an answer. **Raises** AssertionError for another status.
    """
    began, numbers = time.perf_counter(), iter(range(count))

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
            writer.write(request_of(number))
            status, body = await _answer(reader)
            assert status == expected, f"{status} instead of {expected}: {body[:300]!r}"
        writer.close()

    await asyncio.gather(*(one_connection() for _ in range(connections)))
    return count / (time.perf_counter() - began)
