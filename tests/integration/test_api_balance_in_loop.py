"""A balance found in the event loop: the same answer as from a thread, and a thread where the loop would have to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async

from ledger import selectors
from ledger.errors import StoreUnavailable
from ledger.store.connection import POOL_SIZE_MAX, close_pool, connection
from tests.fault.proxy import Fault, faulty_event_store
from tests.ledger_world import new_account

pytestmark = pytest.mark.usefixtures("database")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def account_id(database: None) -> Iterator[str]:
    yield new_account(7)
    close_pool()


async def in_thread(account_id: str, instant: datetime = LATER) -> selectors.BalanceAt:
    return await sync_to_async(selectors.balance_at)(account_id, instant)


async def test_it_is_what_a_thread_finds(account_id: str) -> None:
    found = await selectors.balance_at_in_loop(account_id, LATER)
    assert found == await in_thread(account_id)
    assert found is not None
    assert (found.account.balance_minor, found.version) == (7_00, 2)


async def test_what_is_not_there_is_left_to_a_thread_to_explain(account_id: str) -> None:
    assert await selectors.balance_at_in_loop("nobody", LATER) is None
    assert await selectors.balance_at_in_loop(account_id, datetime.now(UTC) - timedelta(days=1)) is None


async def test_of_two_at_a_time_one_is_left_to_a_thread(account_id: str) -> None:
    asked = [selectors.balance_at_in_loop(account_id, LATER) for _ in range(2)]
    found = await asyncio.gather(*asked)
    assert [one is not None for one in found] == [True, False]
    assert await selectors.balance_at_in_loop(account_id, LATER), "and then it is free again"


async def test_the_loop_does_not_wait_for_a_connection(account_id: str) -> None:
    with ExitStack() as borrowed:
        for _ in range(POOL_SIZE_MAX):
            borrowed.enter_context(connection())
        assert await selectors.balance_at_in_loop(account_id, LATER) is None
    assert await selectors.balance_at_in_loop(account_id, LATER)


async def test_a_silent_store_is_given_up_and_not_asked_again(account_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_event_store(monkeypatch) as server:
        assert await in_thread(account_id)  # opens the pool
        server.fault_for = lambda request: Fault.SILENCE if b"round_" in request else None
        with pytest.raises(StoreUnavailable):
            await selectors.balance_at_in_loop(account_id, LATER)
        assert server.injected == [Fault.SILENCE]
        server.fault_for = lambda request: None
        assert await in_thread(account_id)


async def test_whoever_leaves_does_not_leave_it_closed_for_others(account_id: str) -> None:
    leaving = asyncio.create_task(selectors.balance_at_in_loop(account_id, LATER))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await in_thread(account_id)
    assert await selectors.balance_at_in_loop(account_id, LATER)
