"""How old what a reader sees is: from the answer to a command until every read model shows it, at a steady rate.

The writer is the web process's own group commit; the reader asks the checkpoints all the time, so its own
interval is the resolution. Which command was visible when is told by the journal afterwards.
"""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from chronicle.bench.report import Figure
from chronicle.bench.scratch import worker
from chronicle.bench.spine import accounts, caught_up
from ledger.bus.nudge import nudge
from ledger.domain.commands import Deposit
from ledger.engine import batching
from ledger.engine.submission import Accepted, Submission
from ledger.store import journal
from ledger.store.connection import connection
from projections.connection import read_model_connection

RATE_PER_S, SECONDS, WARM_UP_S = 500, 20, 4
ACCOUNTS = 1_000
LOOK_S = 0.001
Committed = list[tuple[UUID, float]]


class Watch:
    """Notes when the slowest read model reached which position."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.times: list[float] = []

    def run(self, stop: threading.Event) -> None:
        with read_model_connection() as reader:
            while not stop.wait(LOOK_S):
                row = reader.execute("SELECT min(position) FROM checkpoints").fetchone()
                assert row is not None, "an aggregate has a row"
                if not self.positions or row[0] > self.positions[-1]:
                    self.positions.append(row[0])
                    self.times.append(time.perf_counter())

    def seen_at(self, position: int) -> float:
        return self.times[bisect_left(self.positions, position)]


async def _write(ids: list[str]) -> Committed:
    """Send commands at the rate, whatever becomes of those before, and return when each was answered."""

    async def one(number: int) -> tuple[UUID, float]:
        outcome = await batching.submit(Submission(Deposit(ids[number % len(ids)], Decimal(1)), actor="bench"))
        assert isinstance(outcome, Accepted), outcome
        return outcome.events[-1].event_id, time.perf_counter()

    began, tasks = time.perf_counter(), []
    for number in range(RATE_PER_S * SECONDS):
        await asyncio.sleep(max(0.0, began + number / RATE_PER_S - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    return list(await asyncio.gather(*tasks))


def live_lag() -> list[Figure]:
    ids = accounts(ACCOUNTS)
    batching.call_after_commit(nudge)
    watch, stop = Watch(), threading.Event()
    with worker("relay_events"), worker("run_projections"):
        caught_up()
        before = journal.head().position
        looking = threading.Thread(target=watch.run, args=(stop,))
        looking.start()
        try:
            committed = asyncio.run(_write(ids))
            caught_up()
        finally:
            stop.set()
            looking.join()
    with connection() as conn:
        rows = conn.execute("SELECT event_id, position FROM journal WHERE position > %s", (before,)).fetchall()
    positions = dict(rows)
    counted = committed[RATE_PER_S * WARM_UP_S :]
    # What is seen before its own answer has arrived was not late.
    lags_ms = sorted(max(0.0, watch.seen_at(positions[id_]) - at) * 1000 for id_, at in counted)
    name = f"commit to visible in every read model, {RATE_PER_S} commands/s"
    return [
        Figure(f"{name}, p50", "ms", 5, _at(lags_ms, 0.5), lower_is_better=True),
        Figure(f"{name}, p99", "ms", 25, _at(lags_ms, 0.99), lower_is_better=True),
    ]


def _at(ordered: list[float], share: float) -> tuple[float, float, float]:
    return ordered[int(share * len(ordered))], ordered[0], ordered[-1]


def measure_all() -> Iterable[Figure]:
    yield from live_lag()
