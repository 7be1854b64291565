"""PostgreSQL itself is killed under writers, relay and projector: what was accepted is there, and applied once.

All three databases are on this server, and one of them does not wait for the disk: the read model comes back older
than it was, and than the bus knows it to be.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from django.db import connections

from ledger.bus.nudge import nudge
from ledger.domain.commands import Transfer
from ledger.domain.errors import LedgerError
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Submission
from ledger.store import connection as event_store
from ledger.store import journal
from ledger.subjects import connection as portal
from tests.read_world import (
    alarms,
    assert_read_model_is_right,
    open_accounts,
    positions,
    process,
    wait_until_applied,
)
from tests.servers import Servers
from tests.waiting import wait_for

DEATHS = 4
ACCOUNTS = 8


@pytest.fixture
def durable_postgres(clean_stores: None, stack: Servers) -> Iterator[Servers]:
    """A server that has on record what it said it has, as in production; the tests' own does not wait for that."""
    _restart(stack, durable=True)
    yield stack
    _restart(stack, durable=False)


def _restart(stack: Servers, *, durable: bool) -> None:
    stack.restart_postgres(durable=durable)
    connections.close_all()
    event_store.close_pool()
    portal.close_pool()


class Writers:
    """Those who go on moving money, whatever the server does, and remember what they were told."""

    def __init__(self, accounts: list[str]) -> None:
        self._accounts = accounts
        self.accepted: list[str] = []
        self.failures: list[LedgerError] = []

    def write(self, seed: int, stop: threading.Event) -> None:
        choose = random.Random(seed)
        while not stop.is_set():
            one, other = choose.sample(self._accounts, 2)
            command = Transfer(one, other, Decimal(1), f"invoice {choose.randrange(10**6)}")
            try:
                (outcome,) = execute([Submission(command, actor="tester")], on_commit=nudge)
            except LedgerError as error:
                self.failures.append(error)
            else:
                assert isinstance(outcome, Accepted), outcome
                self.accepted += [str(event.event_id) for event in outcome.events]


def head() -> int:
    """Return the journal's head; 0 while nobody answers."""
    try:
        return journal.head().position
    except LedgerError:
        return 0


def everywhere() -> set[int]:
    """Return the positions of the read models; none while nobody answers."""
    try:
        return set(positions().values())
    except psycopg.OperationalError:
        return set()


def test_what_was_accepted_survives_the_death_of_the_server_and_is_applied_once(durable_postgres: Servers) -> None:
    usd = [id_ for number, id_ in enumerate(open_accounts(2 * ACCOUNTS)) if number % 4 < 2]
    writers, stop = Writers(usd), threading.Event()
    with process("relay_events") as relay, process("run_projections") as projector, ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(writers.write, seed, stop) for seed in range(2)]
        try:
            for _ in range(DEATHS):
                before = head()
                wait_for(lambda before=before: bool(everywhere()) and min(everywhere()) > before, "all is at work")
                durable_postgres.restart_postgres(killed=True, durable=True)
        finally:
            stop.set()
        for one in writing:
            one.result()
        assert all(failure.retryable for failure in writers.failures)
        wait_for(lambda: not waiting_commands(), "everything is ordered")
        wait_until_applied()
        assert (relay.poll(), projector.poll()) == (None, None), "neither has given up"
    entries = journal.read(0, 1_000_000)
    ordered = [str(entry.event.event_id) for entry in entries]
    assert len(ordered) == len(set(ordered))
    assert set(writers.accepted) <= set(ordered)
    assert alarms() == {}
    assert_read_model_is_right()


def waiting_commands() -> int:
    with event_store.connection() as conn:
        ((waiting,),) = conn.execute("SELECT count(*) FROM outbox").fetchall()
    return int(waiting)
