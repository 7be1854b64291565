"""A call in the event loop: the same outcomes as from a thread, a thread where memory is not enough, and nothing twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from ledger.domain.commands import Deposit, Transfer, Withdraw
from ledger.engine import batching, remembered
from ledger.engine.batching import Batcher
from ledger.engine.execute import execute
from ledger.engine.in_loop import execute_in_loop
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.store import append, prepared
from ledger.store.connection import POOL_SIZE_MAX, close_pool, connection
from ledger.subjects import keys
from ledger.subjects.keys import RING
from tests.ledger_world import NEXT_VERSION, history, new_account, rows, run, scalar, submission
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("database")
ONE = Decimal(1)


@pytest.fixture
def account_id(database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An account that the process remembers, with the key of its texts, and for long."""
    monkeypatch.setattr(remembered, "CLOCK_NS_MAX", 10**12)
    monkeypatch.setattr(keys, "FRESH_S", 1_000.0)
    made = new_account(10)
    yield made
    close_pool()


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each call had that went to a thread."""
    sizes: list[int] = []

    def counted(submissions: list[Submission], **options: Any) -> list[Outcome]:
        assert threading.current_thread() is not threading.main_thread()
        sizes.append(len(submissions))
        return execute(submissions, **options)

    monkeypatch.setattr(batching, "execute", counted)
    return sizes


def described(account_id: str) -> Submission:
    return submission(Deposit(account_id, ONE, "a text that is sealed"))


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


async def test_commands_on_what_is_remembered_take_no_thread(
    batcher: Batcher, account_id: str, in_threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where another program has the processor for a moment, a free connection would seem not to be free at once.
    monkeypatch.setattr(append, "AT_ONCE_S", 5.0)
    outcomes = await asyncio.gather(*(batcher.submit(described(account_id)) for _ in range(40)))
    assert [o.events[0].version for o in outcomes if isinstance(o, Accepted)] == list(range(3, 43))
    assert in_threads == []
    assert (await in_thread(history, account_id))[-1] == (42, "MoneyDeposited", 50_00)
    first, second = (o.events[0] for o in outcomes[:2] if isinstance(o, Accepted))
    assert second.previous_hash == first.hash
    assert await in_thread(scalar, "SELECT count(*) FROM outbox WHERE command_id = %s", outcomes[0].command_id) == 1


async def test_the_relay_is_nudged_for_it(account_id: str) -> None:
    nudges: list[None] = []
    assert await execute_in_loop([described(account_id)], lambda: nudges.append(None))
    assert len(nudges) == 1


async def test_a_refusal_is_found_in_a_thread_and_goes_on_record(
    batcher: Batcher, account_id: str, in_threads: list[int]
) -> None:
    asked = [submission(Withdraw(account_id, Decimal(amount))) for amount in (4, 7, 5)]
    outcomes = await asyncio.gather(*(batcher.submit(one) for one in asked))
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True]
    assert in_threads == [3]
    codes = "SELECT code FROM refusals WHERE command_id = %s"
    assert await in_thread(rows, codes, asked[1].command_id) == [("insufficient_funds",)]


@pytest.mark.parametrize("why", ["an account", "the clock", "a key", "its word"])
async def test_where_memory_is_not_enough_it_takes_a_thread(
    batcher: Batcher, account_id: str, in_threads: list[int], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    command = described(account_id)
    match why:
        case "an account":
            command = submission(Transfer(account_id, "nobody", ONE))
        case "the clock":
            monkeypatch.setattr(remembered, "CLOCK_NS_MAX", 0)
        case "a key":
            RING.forget()
        case "its word":
            monkeypatch.setattr(RING, "_asked_at", float("-inf"))
    assert await execute_in_loop([command], lambda: None) is None
    outcome = await batcher.submit(command)
    assert in_threads == [1]
    assert isinstance(outcome, Rejected if why == "an account" else Accepted)


async def test_the_loop_does_not_wait_for_a_connection(account_id: str) -> None:
    with ExitStack() as borrowed:
        for _ in range(POOL_SIZE_MAX):
            borrowed.enter_context(connection())
        assert await execute_in_loop([described(account_id)], lambda: None) is None
    assert await execute_in_loop([described(account_id)], lambda: None)


async def test_whoever_is_overtaken_decides_again(batcher: Batcher, account_id: str, in_threads: list[int]) -> None:
    await in_thread(_take_next_version, account_id)
    outcomes = await asyncio.gather(*(batcher.submit(described(account_id)) for _ in range(2)))
    assert [o.events[0].version for o in outcomes if isinstance(o, Accepted)] == [4, 5]
    assert in_threads == [2]


async def test_a_key_that_was_used_is_answered_as_before(
    batcher: Batcher, account_id: str, in_threads: list[int]
) -> None:
    key = uuid4().hex
    asked = [submission(Deposit(account_id, ONE), idempotency_key=key) for _ in range(2)]
    first, again = [await batcher.submit(one) for one in asked]
    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert (again.replayed, again.events) == (True, first.events)
    assert in_threads == [1]


@pytest.mark.parametrize("neighbours", [0, 3])
async def test_an_append_whose_answer_is_lost_is_looked_up(
    batcher: Batcher, account_id: str, in_threads: list[int], monkeypatch: pytest.MonkeyPatch, neighbours: int
) -> None:
    """Decided once more, the withdrawals would be refused: the money is gone."""
    send = prepared.run_in_loop

    async def lose_the_answer(conn: prepared.StoreConnection, *arguments: Any) -> Any:
        await send(conn, *arguments)
        conn.close()
        raise psycopg.OperationalError("lost")

    monkeypatch.setattr(append.prepared, "run_in_loop", lose_the_answer)
    others = [await in_thread(new_account) for _ in range(neighbours)]
    commands = [submission(Withdraw(account_id, Decimal(10))), *(submission(Deposit(other, ONE)) for other in others)]
    outcomes = await asyncio.gather(*(batcher.submit(command) for command in commands))
    assert all(isinstance(outcome, Accepted) and not outcome.replayed for outcome in outcomes)
    assert in_threads == [1 + neighbours]
    assert [version for version, *_ in await in_thread(history, account_id)] == [1, 2, 3]
    assert await in_thread(rows, "SELECT 1 FROM refusals WHERE command_id = %s", commands[0].command_id) == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_loop_that_ends_in_the_middle_keeps_nobody_else_waiting(
    batcher: Batcher, account_id: str, turns: int
) -> None:
    """Whether its call had not begun, was being sent or waited for its answer."""
    answers: list[Outcome] = []
    command = submission(Deposit(account_id, ONE))

    async def ask_and_leave() -> None:
        asking = asyncio.create_task(batcher.submit(command))
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        other.start()
        await eventually(lambda: len(batcher._waiting) == 1 or bool(answers), "somebody else waiting")
        asking.cancel()

    other = threading.Thread(target=lambda: answers.append(batcher.submit_sync(submission(Deposit(account_id, ONE)))))
    asyncio.run(ask_and_leave())
    other.join(30)
    assert isinstance(answers[0], Accepted)
    run(Deposit(account_id, ONE))
    written = history(account_id)
    assert [version for version, *_ in written] == list(range(1, len(written) + 1))
    of_ours = "SELECT count(*) FROM events WHERE metadata->>'command_id' = %s"
    assert scalar(of_ours, str(command.command_id)) == len(written) - 4 <= 1
    assert isinstance(batcher.submit_sync(submission(Deposit(account_id, ONE))), Accepted)


def test_a_loop_that_was_closed_without_a_word_stops_nobody(batcher: Batcher, account_id: str) -> None:
    loop = asyncio.new_event_loop()
    asking = loop.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    loop.call_soon(loop.stop)
    loop.run_forever()
    draining = batcher._draining
    assert batcher._is_draining
    assert draining is not None
    loop.close()
    assert isinstance(batcher.submit_sync(submission(Deposit(account_id, ONE))), Accepted)
    for task in (asking, draining):  # what the closed loop has left behind
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        task.get_coro().close()  # type: ignore[union-attr]


async def test_a_defect_in_the_loop_is_nobodys_answer(
    batcher: Batcher, account_id: str, in_threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(batching, "execute_in_loop", break_down)
    assert isinstance(await batcher.submit(described(account_id)), Accepted)
    assert in_threads == [1]


async def test_a_batcher_that_was_closed_answers_what_it_took(batcher: Batcher, account_id: str) -> None:
    asking = [asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE)))) for _ in range(3)]
    await asyncio.sleep(0)
    await in_thread(batcher.close)
    assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*asking))


def _take_next_version(account_id: str) -> None:
    with connection() as conn:
        conn.execute(NEXT_VERSION, (account_id,))
