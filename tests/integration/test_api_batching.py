"""Group commit: everybody gets an answer of his own, whoever else is in the same call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from ledger.bus import relay
from ledger.domain.commands import Deposit, Withdraw
from ledger.engine import batching
from ledger.engine.batching import MANY_COMMANDS, Batcher
from ledger.engine.submission import Accepted, Rejected
from ledger.errors import Overloaded, StoreUnavailable
from tests.api_world import new_id
from tests.gate import Gate, take_a_thread
from tests.ledger_world import history, new_account, rows, scalar, submission, table_sizes
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")
ONE = Decimal(1)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


async def gather_behind_one(batcher: Batcher, gate: Gate, account_id: str, number: int) -> None:
    """Let a call with one deposit wait at the gate, and so many others in the queue until it opens."""
    first = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    assert await asyncio.to_thread(gate.entered.wait, 30)
    others = [asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE)))) for _ in range(number)]
    await queued()
    gate.opened.set()
    await asyncio.gather(first, *others)


async def queued() -> None:
    """Let every task put its command into the queue."""
    await asyncio.sleep(0)


async def test_200_deposits_at_once_on_one_account_lose_nothing(batcher: Batcher) -> None:
    account_id = await asyncio.to_thread(new_account)
    outcomes = await asyncio.gather(*(batcher.submit(submission(Deposit(account_id, ONE))) for _ in range(200)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    versions = sorted(outcome.events[0].version for outcome in outcomes if isinstance(outcome, Accepted))
    assert versions == list(range(2, 202))
    assert (await asyncio.to_thread(history, account_id))[-1] == (201, "MoneyDeposited", 200_00)


async def test_what_waits_while_a_call_runs_goes_into_one_call(batcher: Batcher, gate: Gate) -> None:
    gate.opened.set()
    account_id = await asyncio.to_thread(new_account)
    gate.opened.clear()
    await gather_behind_one(batcher, gate, account_id, 300)
    assert gate.sizes == [1, batching.COMMANDS_PER_CALL_MAX, 300 - batching.COMMANDS_PER_CALL_MAX]


async def test_what_waits_for_an_event_loop_goes_into_calls_that_leave_it_time(batcher: Batcher, gate: Gate) -> None:
    account_id = await asyncio.to_thread(new_account)
    await gather_behind_one(batcher, gate, account_id, 100)
    most = batching.COMMANDS_PER_CALL_IN_LOOP_MAX
    assert gate.sizes == [1, *[most] * (100 // most), 100 % most]


def test_what_waits_in_threads_while_a_call_runs_goes_into_one_call(
    batcher: Batcher, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "COMMANDS_PER_CALL_MAX", 5)
    account_id = new_account()
    with ThreadPoolExecutor(9) as callers:
        answers = [callers.submit(batcher.submit_sync, submission(Deposit(account_id, ONE)))]
        assert gate.entered.wait(30)
        answers += [callers.submit(batcher.submit_sync, submission(Deposit(account_id, ONE))) for _ in range(8)]
        wait_for(lambda: len(batcher._waiting) == 8, "all of them in the queue")
        gate.opened.set()
        assert all(isinstance(answer.result(30), Accepted) for answer in answers)
    assert gate.sizes == [1, 5, 3]


async def test_of_withdrawals_that_together_are_too_much_exactly_the_affordable_ones_succeed(batcher: Batcher) -> None:
    account_id = await asyncio.to_thread(new_account, 30)
    outcomes = await asyncio.gather(*(batcher.submit(submission(Withdraw(account_id, ONE))) for _ in range(50)))
    refused = [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
    assert len(refused) == 20
    assert {outcome.error.code for outcome in refused} == {"insufficient_funds"}
    assert (await asyncio.to_thread(history, account_id))[-1][2] == 0


async def test_many_requests_under_one_key_take_effect_once(batcher: Batcher) -> None:
    account_id, key = await asyncio.to_thread(new_account), new_id("key")
    outcomes = await asyncio.gather(
        *(batcher.submit(submission(Deposit(account_id, ONE), idempotency_key=key)) for _ in range(20))
    )
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert len(accepted) == 20
    assert len({outcome.events[0].event_id for outcome in accepted}) == 1
    assert sum(not outcome.replayed for outcome in accepted) == 1


async def test_a_command_that_breaks_the_engine_fails_alone(batcher: Batcher, gate: Gate) -> None:
    gate.opened.set()
    account_id = await asyncio.to_thread(new_account)
    gate.opened.clear()
    first = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    assert await asyncio.to_thread(gate.entered.wait, 30)
    actors = ["poison" if number in (3, 17) else "tester" for number in range(32)]
    tasks = [asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE), actor=actor))) for actor in actors]
    await queued()
    gate.opened.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    failed = [index for index, result in enumerate(results[1:]) if isinstance(result, Rejected)]
    assert failed == [3, 17]
    assert {results[1 + index].error.code for index in failed} == {"internal_error"}  # type: ignore[union-attr]
    assert all(isinstance(result, Accepted) for index, result in enumerate(results[1:]) if index not in failed)
    events = await asyncio.to_thread(history, account_id)
    assert [version for version, *_ in events] == list(range(1, 33))
    assert events[-1][2] == 31_00


async def test_a_store_that_is_away_is_everyones_answer_and_not_the_end(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    account_id = await asyncio.to_thread(new_account)
    with monkeypatch.context() as patch:
        patch.setattr(batching, "execute", fail)
        patch.setattr(batching, "execute_in_loop", take_a_thread)
        outcomes = await asyncio.gather(*(batcher.submit(submission(Deposit(account_id, ONE))) for _ in range(3)))
        assert [outcome.error.code for outcome in outcomes if isinstance(outcome, Rejected)] == [
            "store_unavailable"
        ] * 3
    assert isinstance(await batcher.submit(submission(Deposit(account_id, ONE))), Accepted)


async def test_who_comes_when_the_queue_is_full_is_turned_away_at_once(
    batcher: Batcher, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "WAITING_MAX", 5)
    gate.opened.set()
    account_id = await asyncio.to_thread(new_account)
    gate.opened.clear()
    first = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    assert await asyncio.to_thread(gate.entered.wait, 30)
    tasks = [asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE)))) for _ in range(5)]
    await queued()
    with pytest.raises(Overloaded):
        await batcher.submit(submission(Deposit(account_id, ONE)))
    gate.opened.set()
    assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(first, *tasks))


async def test_who_stops_waiting_before_his_turn_is_left_out(batcher: Batcher, gate: Gate) -> None:
    gate.opened.set()
    account_id = await asyncio.to_thread(new_account)
    gate.opened.clear()
    first = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    assert await asyncio.to_thread(gate.entered.wait, 30)
    gone = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    stays = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
    await queued()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    gate.opened.set()
    await asyncio.gather(first, stays)
    assert (await asyncio.to_thread(history, account_id))[-1][2] == 2_00


@pytest.mark.parametrize("is_async", [True, False])
def test_an_answer_that_takes_too_long_says_how_to_learn_it(
    batcher: Batcher, gate: Gate, monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    monkeypatch.setattr(batching, "ANSWER_S_MAX", 0.5)
    account_id = new_account()
    command = submission(Deposit(account_id, ONE))
    with pytest.raises(StoreUnavailable, match="Idempotency-Key"):
        asyncio.run(batcher.submit(command)) if is_async else batcher.submit_sync(command)
    gate.opened.set()
    batcher.close()
    assert history(account_id)[-1][2] == 1_00  # it was under way and took effect


def test_threads_get_their_answers_too(batcher: Batcher) -> None:
    account_id = new_account()
    with ThreadPoolExecutor(8) as executor:
        outcomes = list(executor.map(lambda _: batcher.submit_sync(submission(Deposit(account_id, ONE))), range(40)))
    assert sorted(outcome.events[0].version for outcome in outcomes if isinstance(outcome, Accepted)) == list(
        range(2, 42)
    )


def test_closing_executes_what_waits_and_takes_nothing_more(batcher: Batcher, gate: Gate) -> None:
    account_id = new_account()
    with ThreadPoolExecutor(3) as executor:
        answers = [executor.submit(batcher.submit_sync, submission(Deposit(account_id, ONE))) for _ in range(3)]
        assert gate.entered.wait(30)
        gate.opened.set()
        assert all(isinstance(answer.result(30), Accepted) for answer in answers)
    batcher.close()
    before = table_sizes()
    with pytest.raises(Overloaded, match="stopping"):
        batcher.submit_sync(submission(Deposit(account_id, ONE)))
    assert table_sizes() == before


def test_the_relay_is_nudged_once_a_call_and_only_for_what_was_written(batcher: Batcher) -> None:
    nudges: list[None] = []
    batcher.on_commit = lambda: nudges.append(None)
    account_id = new_account()
    batcher.submit_sync(submission(Deposit(account_id, ONE)))
    assert len(nudges) == 1
    batcher.submit_sync(submission(Deposit("nobody", ONE)))
    assert len(nudges) == 1
    assert rows("SELECT 1 FROM outbox WHERE events::text LIKE %s", f"%{account_id}%")


def test_of_many_commands_at_a_time_the_relay_is_told_once_in_a_while(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    nudges: list[None] = []
    batcher.on_commit = lambda: nudges.append(None)
    account_id = new_account()

    async def together(count: int) -> None:
        await asyncio.gather(*(batcher.submit(submission(Deposit(account_id, ONE))) for _ in range(count)))

    for again_s, count, told in [
        (3600, MANY_COMMANDS, 1),
        (3600, MANY_COMMANDS, 0),
        (3600, 1, 1),
        (0, MANY_COMMANDS, 1),
    ]:
        monkeypatch.setattr(batching, "TOLD_AGAIN_S", again_s)
        nudges.clear()
        if told and count > 1:
            batcher._told_at = float("-inf")  # not for a long time
        asyncio.run(together(count))
        assert len(nudges) == told, (again_s, count)
    assert scalar("SELECT count(*) FROM outbox WHERE events::text LIKE %s", f"%{account_id}%") == 3 * MANY_COMMANDS + 2


def test_what_nobody_was_told_of_is_looked_for_while_commands_gather() -> None:
    assert MANY_COMMANDS >= relay.MANY_COMMANDS, "whoever is not told has been looked for"
    assert relay.GATHER_S > batching.TOLD_AGAIN_S
