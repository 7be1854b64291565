"""The spine's figures: engine, relay, projector, and the way of a command to the reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from uuid import uuid4

import psycopg

from chronicle.bench.report import Figure, rate, summary
from chronicle.bench.scratch import worker
from ledger.bus.envelope import STREAM
from ledger.bus.jetstream import connected
from ledger.bus.nudge import nudge
from ledger.domain.commands import Command as LedgerCommand
from ledger.domain.commands import CreateAccount, Deposit, Transfer
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Submission
from ledger.store import journal
from projections import checkpoints
from projections.connection import read_model_connection
from projections.projection import registry

ROUNDS = 5
SINGLE_COMMANDS = 1_000
BATCH = 1_000
BATCHES = 5
BACKLOG_EVENTS = 30_000
LIVE_RATE_PER_S, LIVE_S = 100, 15
DRAIN_S_MAX = 120.0
# Far beyond any lag worth a figure: whoever waits longer waits for a relay or projector that has died.
VISIBLE_S_MAX = 30.0


def accounts(count: int) -> list[str]:
    """Create accounts with money and return their ids."""
    ids = [f"bench-{uuid4().hex[:16]}" for _ in range(count)]
    for start in range(0, count, BATCH):
        run(CreateAccount(id_, "Bench", "USD", Decimal(1_000_000)) for id_ in ids[start : start + BATCH])
    return ids


def run(commands: Iterable[LedgerCommand]) -> int:
    """Execute commands in one call and return how many events they made; a refusal would spoil the figure."""
    outcomes = execute([Submission(command, actor="bench") for command in commands])
    events = 0
    for outcome in outcomes:
        assert isinstance(outcome, Accepted), outcome
        events += len(outcome.events)
    return events


def engine_single() -> Figure:
    ids = accounts(SINGLE_COMMANDS)

    def once() -> int:
        return sum(run([Deposit(id_, Decimal(1))]) for id_ in ids)

    return Figure("engine, one connection, one command per call", "commands/s", 2_000, rate(once, ROUNDS))


def engine_batch() -> Figure:
    ids = accounts(BATCH)
    pairs = list(zip(ids, ids[1:] + ids[:1], strict=True))

    def once() -> int:
        return sum(run(Transfer(a, b, Decimal(1)) for a, b in pairs) for _ in range(BATCHES))

    return Figure("engine, 1,000 transfers per call", "events/s", 15_000, rate(once, ROUNDS))


def backlog() -> int:
    """Leave commands in the outbox and return the journal's position once they are ordered."""
    ids = accounts(BATCH)
    while journal_events_waiting() < BACKLOG_EVENTS:
        run(Transfer(a, b, Decimal(1)) for a, b in zip(ids, ids[1:] + ids[:1], strict=True))
    return journal.head().position + journal_events_waiting()


def journal_events_waiting() -> int:
    from ledger.store.connection import connection

    with connection() as conn:
        row = conn.execute("SELECT coalesce(sum(jsonb_array_length(events)), 0)::bigint FROM outbox").fetchone()
    assert row is not None
    return int(row[0])


async def _stream_sequence() -> int:
    async with connected("bench") as client:
        streams = await client.jetstream().streams_info()
    return next((int(info.state.last_seq) for info in streams if info.config.name == STREAM), 0)


def stream_sequence() -> int:
    return asyncio.run(_stream_sequence())


def read_model_position() -> int:
    with read_model_connection() as connection:
        return min(checkpoints.load(connection, projection).position for projection in registry())


def drained(position_of: Callable[[], int], start: int, target: int) -> float:
    """Return events per second from the first movement seen to the target."""
    began_at, began = 0.0, start
    deadline = time.monotonic() + DRAIN_S_MAX
    while True:
        position = position_of()
        if position > began and not began_at:
            began_at, began = time.perf_counter(), position
        if position >= target:
            return (position - began) / (time.perf_counter() - began_at)
        if time.monotonic() > deadline:
            raise TimeoutError(f"at {position} of {target} after {DRAIN_S_MAX:.0f} s")
        time.sleep(0.02)


def caught_up() -> None:
    """Wait until relay and projector have nothing left from what was measured or seeded before."""
    deadline = time.monotonic() + DRAIN_S_MAX
    while read_model_position() < journal.head().position or journal_events_waiting():
        if time.monotonic() > deadline:
            raise TimeoutError(f"relay and projector are not done after {DRAIN_S_MAX:.0f} s")
        time.sleep(0.1)


def relay() -> Figure:
    rates = []
    for _ in range(3):
        target = backlog()
        start = journal.head().position
        with worker("relay_events"):
            rates.append(drained(stream_sequence, start, target))
    return Figure("relay, outbox to JetStream", "events/s", 15_000, summary(rates))


def projector() -> list[Figure]:
    """Catch up from position 1, over all projections, on what the measures before have left."""
    head = journal.head().position
    rates = []
    for _ in range(3):
        with read_model_connection() as connection:
            tables = ", ".join(["checkpoints", *(t for p in registry() for t in p.tables)])
            connection.execute(psycopg.sql.SQL("TRUNCATE {}").format(psycopg.sql.SQL(tables)))
        with worker("run_projections"):
            rates.append(drained(read_model_position, 0, head))
    # The spine was held to 10,000; the read models, all eight of them together, to 15,000.
    spread, name = summary(rates), f"projector, catch-up over {head:,} events"
    return [
        Figure(f"{name}, as the spine asked", "events/s", 10_000, spread),
        Figure("the same, as the read models ask", "events/s", 15_000, spread),
    ]


def live_lag() -> list[Figure]:
    """Time from the engine's answer to the row in the read model, at a steady pace."""
    ids = accounts(100)
    lags_ms: list[float] = []
    query = "SELECT version FROM accounts WHERE account_id = %s"
    with worker("relay_events"), worker("run_projections"), read_model_connection() as reader:
        caught_up()
        due = time.perf_counter()
        for number in range(LIVE_RATE_PER_S * LIVE_S):
            time.sleep(max(0.0, due - time.perf_counter()))
            (outcome,) = execute([Submission(Deposit(ids[number % 100], Decimal(1)), actor="bench")], on_commit=nudge)
            committed_at = time.perf_counter()
            assert isinstance(outcome, Accepted)
            event = outcome.events[-1]
            while (reader.execute(query, (event.aggregate_id,)).fetchone() or (0,))[0] < event.version:
                if time.perf_counter() - committed_at > VISIBLE_S_MAX:
                    raise TimeoutError(f"{event.aggregate_id} is not at version {event.version} in the read model")
            lags_ms.append((time.perf_counter() - committed_at) * 1000)
            due = max(due + 1 / LIVE_RATE_PER_S, time.perf_counter() - 0.5)
    lags_ms.sort()
    p50, p99 = lags_ms[len(lags_ms) // 2], lags_ms[int(len(lags_ms) * 0.99)]
    name = f"commit to visible at {LIVE_RATE_PER_S} commands/s"
    return [
        Figure(f"{name}, p50", "ms", 10, (p50, lags_ms[0], lags_ms[-1]), lower_is_better=True),
        Figure(f"{name}, p99", "ms", 50, (p99, lags_ms[0], lags_ms[-1]), lower_is_better=True),
    ]


def measure_all() -> Iterable[Figure]:
    yield engine_single()
    yield engine_batch()
    yield relay()
    yield from projector()
    yield from live_lag()
