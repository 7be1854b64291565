"""Time travel: a balance out of a million events, and the whole books of a hundred thousand accounts.

Requests go through the whole web process, the ASGI application that daphne serves: sign-in, routing, view, queries and
the access log, but not through a socket. What is timed is what the server takes, from the request's arrival to the
last byte of its answer. Not by Django's own client, which starts threads around each request that a server does not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any
from urllib.parse import urlencode

from chronicle.bench.http import operator_token
from chronicle.bench.report import Figure, Spread, summary
from chronicle.bench.seeding import CALL, order, transfers
from chronicle.bench.spine import accounts, run
from ledger.domain.commands import Deposit
from ledger.domain.instants import format_instant
from ledger.store.connection import connection
from projections import rebuild
from projections.connection import read_model_connection
from projections.projection import by_name

LONG, SHORT = 1_000_000, 1_000
LOOKS = 3_000
WARM_UP = 200
BOOKS_ACCOUNTS, BOOKS_EVENTS = 100_000, 500_000
BOOKS_LOOKS = 7


class Web:
    """The web process from within, signed in."""

    def __init__(self) -> None:
        from chronicle.asgi import application  # what it sets up must not be set up by reading this module

        self._application = application
        token = operator_token().encode()
        self._headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Token " + token)]

    async def seconds(self, path: str, parameters: dict[str, str]) -> float:
        """Ask for something and return how long that took."""
        arriving: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        arriving.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        answer: list[dict[str, Any]] = []
        ended = 0.0

        async def send(message: dict[str, Any]) -> None:
            nonlocal ended
            answer.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended = time.perf_counter()
                arriving.put_nowait({"type": "http.disconnect"})

        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": f"/api/v1/{path}",
            "query_string": urlencode(parameters).encode(), "root_path": "", "headers": self._headers,
            "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 2],
        }  # fmt: skip
        began = time.perf_counter()
        await self._application(scope, arriving.get, send)
        assert answer[0]["status"] == 200, answer
        return ended - began


def whole_books(web: Web) -> list[Figure]:
    ids = accounts(BOOKS_ACCOUNTS)
    transfers(ids, BOOKS_EVENTS - 2 * BOOKS_ACCOUNTS)
    head = order()
    with read_model_connection() as reader:
        rebuild.build(reader, by_name("postings"), lambda *_: None)
        rebuild.switch(reader, by_name("postings"))
    first, last = _recorded(1), _recorded(head)
    choose = random.Random(1)  # noqa: S311 (instants to ask for)

    async def ask() -> tuple[list[float], list[float]]:
        books, differences = [], []
        for _ in range(BOOKS_LOOKS):
            one, other = sorted(first + choose.random() * (last - first) for _ in range(2))
            at = {"recorded_at": format_instant(other), "limit": "1000"}
            books.append(await web.seconds("books", at))
            between = {"from": format_instant(one), "to": format_instant(other), "limit": "1000"}
            differences.append(await web.seconds("books/difference", between))
        return books, differences

    books, differences = asyncio.run(ask())
    of = f"{BOOKS_ACCOUNTS:,} accounts, {head:,} events"
    return [
        Figure(f"whole books as of an instant, {of}", "s", 2, summary(books), lower_is_better=True),
        Figure("difference between two instants, the same", "s", None, summary(differences)),
    ]


def balances_at(web: Web) -> list[Figure]:
    """Ask for balances at random instants of a long history and of a short one, in turns."""
    long, short = accounts(2)
    run([Deposit(short, Decimal(1))] * SHORT)
    for _ in range(LONG // CALL):
        run([Deposit(long, Decimal(1))] * CALL)
    choose = random.Random(2)  # noqa: S311
    moments = {id_: [_recorded_of(id_, choose.randrange(1, end)) for _ in range(500)]
               for id_, end in ((long, LONG), (short, SHORT))}  # fmt: skip

    async def ask() -> dict[str, list[float]]:
        taken: dict[str, list[float]] = {long: [], short: []}
        for number in range(WARM_UP + LOOKS):
            for account_id, seconds in taken.items():
                at = {"timestamp": format_instant(choose.choice(moments[account_id]))}
                one = await web.seconds(f"accounts/{account_id}/balance-at", at)
                if number >= WARM_UP:
                    seconds.append(1000 * one)
        return taken

    taken = asyncio.run(ask())
    # The middle of parts: one p99 hangs on a few requests, of which any may meet a checkpoint of the database.
    ratios = [_p99(taken[long][n::3]) / _p99(taken[short][n::3]) for n in range(3)]
    medians = [median(taken[long][n::3]) / median(taken[short][n::3]) for n in range(3)]
    return [
        Figure(f"balance-at among {SHORT:,} events, p99", "ms", None, _spread(taken[short])),
        Figure(f"balance-at among {LONG:,} events, p99", "ms", 5, _spread(taken[long]), lower_is_better=True),
        Figure("the second's p99 against the first's", "times", 1.5, summary(ratios), lower_is_better=True),
        Figure("the second's median against the first's", "times", 1.5, summary(medians), lower_is_better=True),
    ]


def _recorded(position: int) -> datetime:
    query = """
        SELECT e.recorded_at FROM journal AS j JOIN events AS e
        ON e.aggregate_id = j.aggregate_id AND e.version = j.version WHERE j.position = %s
    """
    return _instant(query, (position,))


def _recorded_of(account_id: str, version: int) -> datetime:
    return _instant("SELECT recorded_at FROM events WHERE aggregate_id = %s AND version = %s", (account_id, version))


def _instant(query: str, parameters: tuple[object, ...]) -> datetime:
    with connection() as conn:
        row = conn.execute(query.encode(), parameters).fetchone()
    assert row is not None, "there is an event"
    instant: datetime = row[0]
    return instant


def _p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


def _spread(values: list[float]) -> Spread:
    return _p99(values), min(values), max(values)


def measure_all() -> Iterable[Figure]:
    web = Web()
    yield from whole_books(web)
    yield from balances_at(web)
