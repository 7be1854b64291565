"""The engine against its bounds: a bare COPY of the same rows, and an account with a million events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from statistics import median
from uuid import uuid4

from chronicle.bench.report import Figure, summary
from chronicle.bench.spine import BATCH, accounts, run
from ledger.domain.commands import Deposit, Transfer
from ledger.store import sql
from ledger.store.connection import connection

ROUNDS = 15
LONG_HISTORY = 1_000_000
SEED_CALL = 5_000
SINGLES = 300

_EVENTS = sql.EVENT_COLUMNS.replace("e.", "")
_OUTBOX = "command_id, recorded_at, events"
# Of the columns above: what a second copy of a row may not share with the first.
_EVENT_ID, _AGGREGATE_ID, _COMMAND_ID = 0, 2, 0


def against_copy() -> list[Figure]:
    """Execute batches of transfers, and COPY rows like theirs into the same tables, in turns."""
    ids = accounts(BATCH)
    pairs = list(zip(ids, ids[1:] + ids[:1], strict=True))

    def transfers() -> int:
        return run(Transfer(a, b, Decimal(1)) for a, b in pairs)

    transfers()
    events = _rows(f"{_EVENTS} FROM events ORDER BY recorded_at DESC, aggregate_id", 2 * BATCH)
    outbox = _rows(f"{_OUTBOX} FROM outbox ORDER BY recorded_at DESC", BATCH)
    engine, bare = [], []
    for _ in range(ROUNDS):
        engine.append(_rate(transfers))
        bare.append(_rate(partial(_copy, _renamed(events, _EVENT_ID, _AGGREGATE_ID), _renamed(outbox, _COMMAND_ID))))
    shares = [100 * a / b for a, b in zip(engine, bare, strict=True)]
    return [
        Figure("batch of 1,000 transfers", "events/s", None, summary(engine)),
        Figure("bare COPY of such rows", "events/s", None, summary(bare)),
        Figure("batch of 1,000 transfers, of the bare COPY", "%", 50, summary(shares)),
    ]


Rows = list[list[bytes]]


def _rows(selection: str, count: int) -> Rows:
    """Return rows as COPY writes them, field by field."""
    with connection() as conn, conn.cursor().copy(f"COPY (SELECT {selection} LIMIT {count}) TO STDOUT") as copy:
        lines = b"".join(copy).splitlines()
    assert len(lines) == count, "the engine has just written as many"
    return [line.split(b"\t") for line in lines]


def _renamed(rows: Rows, id_column: int, name_column: int | None = None) -> bytes:
    """Return the rows under ids of their own, in the order of their keys, as one text for COPY."""
    prefix = uuid4().hex[:12].encode()
    renamed = [list(row) for row in rows]
    for row in renamed:
        row[id_column] = uuid4().hex.encode()
        if name_column is not None:
            row[name_column] = prefix + row[name_column]
    return b"".join(b"\t".join(row) + b"\n" for row in renamed)


def _copy(events: bytes, outbox: bytes) -> int:
    with connection() as conn, conn.transaction(), conn.cursor() as cursor:
        for table, columns, rows in (("events", _EVENTS, events), ("outbox", _OUTBOX, outbox)):
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                copy.write(rows)
    return events.count(b"\n")


def long_history() -> list[Figure]:
    """Time single deposits into an account with a million events and into new ones, in turns."""
    (long,) = accounts(1)
    for _ in range(LONG_HISTORY // SEED_CALL):
        run([Deposit(long, Decimal(1))] * SEED_CALL)
    new = accounts(SINGLES)
    on_long, on_new = [], []
    for account_id in new:
        on_long.append(_microseconds(lambda: run([Deposit(long, Decimal(1))])))
        on_new.append(_microseconds(partial(run, [Deposit(account_id, Decimal(1))])))
    # The middle of many: a single one may meet a checkpoint or another process.
    thirds = [slice(start, None, 3) for start in range(3)]
    ratios = [median(on_long[third]) / median(on_new[third]) for third in thirds]
    return [
        Figure("deposit into an account with one event", "µs", None, summary(on_new)),
        Figure(f"deposit into an account with {LONG_HISTORY:,} events", "µs", None, summary(on_long)),
        Figure("the second against the first", "times", 1.2, summary(ratios), lower_is_better=True),
    ]


def _rate(once: Callable[[], int]) -> float:
    began = time.perf_counter()
    count = once()
    return count / (time.perf_counter() - began)


def _microseconds(once: Callable[[], int]) -> float:
    began = time.perf_counter()
    once()
    return (time.perf_counter() - began) * 1e6


def measure_all() -> Iterable[Figure]:
    yield from against_copy()
    yield from long_history()
