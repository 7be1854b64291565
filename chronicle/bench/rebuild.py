"""Read models made from the journal: each rebuilt, a long history against a short one, and the projector's memory."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import median

import psutil
from psycopg import sql

from chronicle.bench.report import Figure, Spread, summary
from chronicle.bench.scratch import worker
from chronicle.bench.seeding import order, transfers
from chronicle.bench.spine import accounts, read_model_position
from projections import rebuild
from projections.connection import read_model_connection
from projections.projection import Projection, registry

SHORT, LONG = 100_000, 1_000_000
ACCOUNTS = 1_000
ROUNDS = 3
CATCH_UP_S_MAX = 300.0
LOOK_S = 0.05


def rebuilt(projection: Projection) -> float:
    """Rebuild a projection with its switch, and return the seconds that took."""
    with read_model_connection() as connection:
        began = time.perf_counter()
        rebuild.build(connection, projection, lambda *_: None)
        rebuild.switch(connection, projection)
        seconds = time.perf_counter() - began
        rebuild.drop_previous(connection, projection)
    return seconds


def rebuilds() -> Iterable[Figure]:
    """Rebuild everything from a short history, then the slowest again from one of a million events."""
    ids = accounts(ACCOUNTS)
    transfers(ids, SHORT - 2 * ACCOUNTS)
    short = order()
    seconds = {projection: rebuilt(projection) for projection in registry()}
    slowest = max(seconds, key=lambda projection: seconds[projection])
    short_s = [seconds[slowest], *(rebuilt(slowest) for _ in range(ROUNDS - 1))]
    what = f"{slowest.name}, the slowest of {len(seconds)}"
    yield Figure(f"rebuild over {short:,} events: {what}", "events/s", 20_000, summary([short / s for s in short_s]))
    transfers(ids, LONG - short)
    long = order()
    # First, because a rebuild goes to where the live tables are.
    yield from catch_up(long)
    long_s = [rebuilt(slowest) for _ in range(ROUNDS)]
    yield Figure(
        f"rebuild over {long:,} events: {slowest.name}", "events/s", 20_000, summary([long / s for s in long_s])
    )
    yield Figure(
        f"its time against that of {short:,} events", "times", 1.1 * long / short,
        (median(long_s) / median(short_s), min(long_s) / max(short_s), max(long_s) / min(short_s)),
        lower_is_better=True,
    )  # fmt: skip


def catch_up(head: int) -> Iterable[Figure]:
    """Let a projector build everything from position 1, and watch what it holds in memory."""
    with read_model_connection() as connection:
        tables = [sql.Identifier(name) for p in registry() for name in p.tables]
        connection.execute(sql.SQL("TRUNCATE checkpoints, {}").format(sql.SQL(", ").join(tables)))
    used: list[tuple[int, float]] = []
    began_at, began = 0.0, 0
    with worker("run_projections") as process:
        resident = psutil.Process(process.pid)
        deadline = time.monotonic() + CATCH_UP_S_MAX
        while (position := read_model_position()) < head:
            if position and not began_at:
                began_at, began = time.perf_counter(), position
            used.append((position, resident.memory_info().rss / 2**20))
            if time.monotonic() > deadline:
                raise TimeoutError(f"the projector is at {position} of {head} after {CATCH_UP_S_MAX:.0f} s")
            time.sleep(LOOK_S)
        rate = (head - began) / (time.perf_counter() - began_at)
    yield Figure(f"catch-up over {head:,} events, all {len(registry())} projections", "events/s", 15_000, _once(rate))
    early = max(mib for position, mib in used if position <= head // 10)
    late = max(mib for position, mib in used if position > head // 10)
    yield Figure(f"the projector's memory over the first {head // 10:,} of them", "MiB", None, _once(early))
    yield Figure("the same over the rest, against it", "times", 1.1, _once(late / early), lower_is_better=True)


def _once(value: float) -> Spread:
    return value, value, value


def measure_all() -> Iterable[Figure]:
    yield from rebuilds()
