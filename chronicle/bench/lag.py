"""How old what a reader sees is: from a command's commit until every read model shows it, at a steady rate.

The writer is the web process's own group commit. Nobody looks on: both instants are the servers' own record of when
a transaction was committed, asked for afterwards (`track_commit_timestamp`). The checkpoints of all read models move
in the transaction that brings the row, and it is visible some 30 µs after its instant; the command's instant is
before its flush to the disk, so that flush, 0.1 to 0.2 ms, counts as lag.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from decimal import Decimal

from django.db import connections

from chronicle.bench.report import Figure, summary
from chronicle.bench.scratch import worker
from chronicle.bench.spine import accounts, caught_up
from ledger.bus.nudge import nudge
from ledger.domain.commands import Deposit
from ledger.engine import batching
from ledger.engine.submission import Accepted, Submission
from ledger.store import journal
from ledger.store.connection import ALIAS, connection
from projections.connection import read_model_connection

RATE_PER_S, SECONDS, WARM_UP_S, ROUNDS = 500, 12, 4, 3
ACCOUNTS = 1_000
# CockroachDB says nothing of the kind: there the lag begins when the command was recorded, before it is written.
COMMITTED = {"postgresql": "pg_xact_commit_timestamp(e.xmin)"}
WRITTEN = """
SELECT j.position, {} FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
WHERE j.position > %s ORDER BY j.position
"""
VISIBLE = "SELECT position, pg_xact_commit_timestamp(xmin) FROM transactions WHERE position > %s"


async def _write(ids: list[str]) -> None:
    """Send commands at the rate, whatever becomes of those before."""

    async def one(number: int) -> None:
        outcome = await batching.submit(Submission(Deposit(ids[number % len(ids)], Decimal(1)), actor="bench"))
        assert isinstance(outcome, Accepted), outcome

    began, tasks = time.perf_counter(), []
    for number in range(RATE_PER_S * SECONDS):
        await asyncio.sleep(max(0.0, began + number / RATE_PER_S - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)


def live_lag() -> list[Figure]:
    ids = accounts(ACCOUNTS)
    batching.call_after_commit(nudge)
    with worker("relay_events"), worker("run_projections"):
        rounds = [_lags_ms(ids) for _ in range(ROUNDS)]
    name = f"commit to visible in every read model, {RATE_PER_S} commands/s"
    return [
        Figure(f"{name}, {label}", "ms", asked, summary([_at(lags, share) for lags in rounds]), lower_is_better=True)
        for label, share, asked in (("p50", 0.5, 5), ("p99", 0.99, 25))
    ]


def _lags_ms(ids: list[str]) -> list[float]:
    """Return the lag of each command of a round but its warm-up, in order of size."""
    caught_up()
    before = journal.head().position
    asyncio.run(_write(ids))
    caught_up()
    with connection() as conn:
        committed = COMMITTED.get(connections[ALIAS].vendor, "e.recorded_at")
        written = conn.execute(WRITTEN.format(committed), (before,)).fetchall()
    with read_model_connection() as reader:
        visible = dict(reader.execute(VISIBLE, (before,)).fetchall())
    counted = written[RATE_PER_S * WARM_UP_S :]
    return sorted((visible[position] - at).total_seconds() * 1000 for position, at in counted)


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(share * len(ordered))]


def measure_all() -> Iterable[Figure]:
    yield from live_lag()
