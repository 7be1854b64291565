"""A ledger with a million events for the portal's figures: many accounts, one with a long life, a few of everything.

It is made by real commands, ordered by the relay's own step, published by a relay and applied by a projector, so
that the pages find what they would find after months of work. What is there already is not made again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal

from django.db import connections

from chronicle.bench.scratch import worker
from chronicle.bench.seeding import CALL, order, transfers
from chronicle.bench.spine import accounts, read_model_position, run, stream_sequence
from ledger.domain.commands import Deposit
from ledger.store import journal
from ledger.store.connection import ALIAS, connection, owner_connection
from projections.connection import read_model_connection

EVENTS = 1_000_000
ACCOUNTS = 10_000
LONG_EVENTS = 120_000
SEEDED_S_MAX = 900.0
LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """What the pages are opened on: an account of the many, an event and a transfer from the middle of the log."""

    account_id: str
    long_id: str
    event_id: str
    transfer_id: str
    middle: int
    head: int


def seed() -> Sample:
    """Bring the ledger to EVENTS events, every one of them in the stream and in every read model."""
    head = journal.head().position
    if head < EVENTS:
        (long,) = accounts(1)
        for start in range(0, LONG_EVENTS, CALL):
            run(Deposit(long, Decimal(1), f"invoice {start + n}") for n in range(CALL))
        transfers(accounts(ACCOUNTS), EVENTS - head - LONG_EVENTS - 2 * ACCOUNTS)
        order()
    _follow()
    return _sample()


def _follow() -> None:
    """Let a relay publish and a projector apply whatever is left."""
    head = journal.head().position
    deadline = time.monotonic() + SEEDED_S_MAX
    with worker("relay_events"), worker("run_projections"):
        while min(read_model_position(), stream_sequence()) < head:
            if time.monotonic() > deadline:
                raise TimeoutError(f"relay and projector are not done after {SEEDED_S_MAX:.0f} s")
            time.sleep(LOOK_S)
    # As autovacuum does within a minute of such a load; without it the first looks would pay for everybody's, or it
    # would come while something else is measured.
    with read_model_connection() as model:
        model.execute("VACUUM ANALYZE")
    if connections[ALIAS].vendor == "postgresql":
        with owner_connection() as store:
            store.execute("SET statement_timeout = 0")
            store.execute("VACUUM ANALYZE")


def _sample() -> Sample:
    head = journal.head().position
    middle = head // 2
    with read_model_connection() as model:
        query = "SELECT transfer_id, from_account_id FROM transfers WHERE position <= %s ORDER BY position DESC LIMIT 1"
        transfer = model.execute(query, (middle,)).fetchone()
        long = model.execute("SELECT account_id FROM accounts ORDER BY version DESC LIMIT 1").fetchone()
    with connection() as conn:
        entry = conn.execute("SELECT event_id FROM journal WHERE position = %s", (middle,)).fetchone()
    assert transfer, "money went round"
    assert long, "and one account got most of it"
    assert entry, "positions are gapless"
    return Sample(transfer[1], long[0], str(entry[0]), transfer[0], middle, head)
