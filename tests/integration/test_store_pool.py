"""The pools of connections: one of each in a process, however many threads want the first connection at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import ModuleType

import pytest

from ledger.store import connection as event_store
from ledger.subjects import connection as keys

pytestmark = pytest.mark.usefixtures("database")

THREADS = 8


@pytest.fixture(params=[event_store, keys], ids=["event store", "keys of texts"])
def module(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A module that has not opened its pool yet, as in a process that has just begun."""
    request.param.close_pool()
    yield request.param
    request.param.close_pool()


def test_threads_that_are_the_first_together_share_one_pool(module: ModuleType) -> None:
    barrier = Barrier(THREADS)

    def first(_: int) -> int:
        barrier.wait()
        with module.connection() as borrowed:
            assert borrowed.execute("SELECT 1").fetchone() == (1,)
        return id(module.pool())

    with ThreadPoolExecutor(THREADS) as threads:
        assert len(set(threads.map(first, range(THREADS)))) == 1


def test_the_connection_that_came_back_last_is_the_next_one_given(database: None) -> None:
    event_store.close_pool()
    event_store.pool().resize(2, 2)
    event_store.pool().wait()
    with event_store.connection() as last, event_store.connection() as first_back:
        assert last is not first_back
    for _ in range(3):
        with event_store.connection() as borrowed:
            assert borrowed is last
    event_store.close_pool()
