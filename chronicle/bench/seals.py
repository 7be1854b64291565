"""What evidence costs and how fast it is checked: the tree behind the relay, proofs, bundles, verification.

The history is made by the engine and ordered by the relay's own steps, here in turns instead of beside each
other, so that what the tree costs is seen apart from what ordering costs. Publishing, which the relay also
does, is left out: with it the tree's share would only be smaller.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
from django.conf import settings

from chronicle.bench.report import Figure, summary
from chronicle.bench.spine import BATCH, accounts, run
from ledger.bus.tree_keeper import TreeExtender
from ledger.domain.commands import Deposit, Transfer
from ledger.evidence.bundle import write_bundle
from ledger.evidence.selection import Selection
from ledger.store import journal, log_key, proofs, tree_heads
from ledger.store.connection import dedicated_connection
from ledger.store.hashing import extend_running_hash
from ledger.store.succession import Trust
from ledger.store.tree import Connection
from ledger.verify.run import Request, verify

HISTORY = 1_000_000
EARLY = HISTORY // 4  # where verification is measured first: twice the events must take twice the time
ACCOUNTS = 2_000
BUNDLED = 10_000
EVENTS_PER_HEAD = 20_000  # what the engine writes in the second that lies between two heads under load
PROOFS = 200
ROUNDS = 3


@dataclass(slots=True)
class History:
    """The log as it grows. `shares`: what tree and running hash cost, in % of the ordering of the same events."""

    conn: Connection
    ids: list[str]
    extender: TreeExtender = field(default_factory=TreeExtender)
    shares: list[float] = field(default_factory=list)

    def grow(self, up_to: int) -> None:
        """Move money between accounts until the journal has as many events, with a head for each second of it."""
        while (position := journal.head().position) < up_to:
            waiting, wanted = 0, min(EVENTS_PER_HEAD, up_to - position)
            while waiting < wanted:
                chosen = random.sample(self.ids, BATCH)
                waiting += run(Transfer(a, b, Decimal(1)) for a, b in zip(chosen, chosen[1:] + chosen[:1], strict=True))
            self.seal()

    def seal(self) -> None:
        """Order what waits, and put it under a head."""
        hashes: list[bytes] = []

        def order() -> None:
            while events := journal.sequence(self.conn, None).events:
                hashes.extend(sequenced.event.hash for sequenced in events)

        ordering_s = _seconds(order)
        sealing_s = _seconds(lambda: self.extender.advance(self.conn)) + _seconds(lambda: _chain(hashes))
        self.shares.append(100 * sealing_s / ordering_s)


def _chain(hashes: list[bytes]) -> None:
    running = hashes[0]
    for event_hash in hashes:
        running = extend_running_hash(running, event_hash)


def _proofs(conn: Connection) -> list[Figure]:
    """Prove events under heads, and heads by heads, each with nothing remembered of the one before."""
    sizes = [row[0] for row in conn.execute("SELECT tree_size FROM tree_heads ORDER BY tree_size")]
    included, consistent = [], []
    for _ in range(PROOFS):
        first, second = sorted(random.choices(sizes, k=2))  # noqa: S311 (a sample)
        position = random.randint(1, second)  # noqa: S311
        included.append(1000 * _seconds(lambda: proofs.prove_inclusion(conn, position, second)))  # noqa: B023 (at once)
        consistent.append(1000 * _seconds(lambda: proofs.prove_consistency(conn, first, second)))  # noqa: B023
    at = f"of {sizes[-1]:,} events"
    return [
        Figure(f"proof that an event is in a log {at}", "ms", 20, summary(included), lower_is_better=True),
        Figure(f"proof that a head continues another, {at}", "ms", 20, summary(consistent), lower_is_better=True),
    ]


def _bundle(conn: Connection, account_id: str) -> Figure:
    head = tree_heads.at_size(conn, None)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "evidence.zip"
        seconds = [_seconds(lambda: write_bundle(conn, target, Selection(account_id), head)) for _ in range(ROUNDS)]
    return Figure(f"bundle of {BUNDLED:,} events", "s", 10, summary(seconds), lower_is_better=True)


def _verified_per_second() -> list[float]:
    """Verify the whole log as `verify_ledger` does, with a process for each core; starting them is part of it."""
    trust = Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,))
    rates = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        findings = verify(Request(trust))
        assert not findings.fault_count, [str(fault) for fault in findings.faults]
        rates.append(findings.events / (time.perf_counter() - began))
    return rates


def _analyse() -> None:
    """Tell the planner how large the tables have become, as the server itself does some time later."""
    with psycopg.connect(settings.EVENT_STORE_OWNER_URL, autocommit=True) as owner:
        owner.execute("ANALYZE events")
        owner.execute("ANALYZE journal")


def _seconds(once: Callable[[], object]) -> float:
    began = time.perf_counter()
    once()
    return time.perf_counter() - began


def measure_all() -> Iterable[Figure]:
    with dedicated_connection() as conn:
        history = History(conn, accounts(ACCOUNTS))
        (busy,) = accounts(1)
        run([Deposit(busy, Decimal(1))] * (BUNDLED - 2))  # its creation and its opening balance are two more
        history.grow(EARLY)
        _analyse()
        early = _verified_per_second()
        history.grow(HISTORY)
        _analyse()
        name = "hashing and tree, of the relay's ordering alone"
        yield Figure(name, "%", 15, summary(history.shares), lower_is_better=True)
        yield from _proofs(conn)
        yield _bundle(conn, busy)
        late = _verified_per_second()
        # Not held against the bound: a fifth of so short a run is the start of the processes.
        yield Figure(f"verify, every check, {EARLY:,} events", "events/s", None, summary(early))
        yield Figure(f"verify, every check, {HISTORY:,} events", "events/s", 50_000, summary(late))
        slower = [a / b for a, b in zip(sorted(early), sorted(late), strict=True)]
        name = f"time per event at {HISTORY:,} against {EARLY:,}"
        yield Figure(name, "times", 1.2, summary(slower), lower_is_better=True)
