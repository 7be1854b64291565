"""Group commit where something is broken: each caller still gets one answer, and it is the true one."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from types import SimpleNamespace

import pytest

from ledger.domain.commands import Deposit, Withdraw
from ledger.engine import batching
from ledger.engine.batching import Batcher
from ledger.engine.submission import Accepted, Outcome, Submission
from ledger.errors import Overloaded
from tests.api_world import new_id
from tests.gate import Gate
from tests.ledger_world import history, new_account, rows, submission
from tests.waiting import eventually, wait_for

pytestmark = pytest.mark.usefixtures("database")
ONE = Decimal(1)


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("neighbours", [0, 3])
def test_a_command_that_was_written_before_something_broke_is_answered_as_written(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch, key: str | None, neighbours: int
) -> None:
    """Decided again on the books it has changed itself, it would be refused: the money is gone."""
    account_id = new_account(10)
    others = [new_account() for _ in range(neighbours)]
    breakdowns: list[bool] = []

    def break_down() -> None:
        if not breakdowns:
            breakdowns.append(True)
            raise RuntimeError("after the commit")

    batcher.on_commit = break_down
    mine = submission(Withdraw(account_id, Decimal(10)), idempotency_key=key and new_id(key))

    async def submit_all() -> list[object]:
        commands = [mine, *(submission(Deposit(other, ONE)) for other in others)]
        return await asyncio.gather(*(batcher.submit(command) for command in commands))

    outcomes = asyncio.run(submit_all())
    assert breakdowns
    assert all(isinstance(outcome, Accepted) and not outcome.replayed for outcome in outcomes), outcomes
    assert [event for _, event, _ in history(account_id)] == ["AccountCreated", "MoneyDeposited", "MoneyWithdrawn"]
    assert all(len(history(other)) == 2 for other in others)
    assert rows("SELECT 1 FROM refusals WHERE command_id = %s", mine.command_id) == []


@pytest.mark.parametrize("defect", [StopIteration(), TimeoutError("inside"), RuntimeError("a defect")])
def test_no_kind_of_defect_keeps_the_others_from_their_answers(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch, defect: Exception
) -> None:
    gate = Gate(monkeypatch)
    gate.defect = defect
    gate.opened.set()
    account_id = new_account()

    async def submit_all() -> list[object]:
        actors = ["poison", "tester", "tester", "poison", "tester"]
        commands = [submission(Deposit(account_id, ONE), actor=actor) for actor in actors]
        async with asyncio.timeout(10):  # long before anybody is told that there is no answer
            return await asyncio.gather(*(batcher.submit(c) for c in commands), return_exceptions=True)

    outcomes = asyncio.run(submit_all())
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [False, True, True, False, True]
    assert history(account_id)[-1][:1] == (4,)


async def test_a_lone_command_waits_for_nobody(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(seconds: float) -> None:
        raise AssertionError("there is no company")

    monkeypatch.setattr(batching, "GATHER_S", 3_600.0)
    monkeypatch.setattr(batching, "_pause", wait)
    account_id = await asyncio.to_thread(new_account)
    async with asyncio.timeout(10):
        assert isinstance(await batcher.submit(submission(Deposit(account_id, ONE))), Accepted)
        in_thread = asyncio.to_thread(batcher.submit_sync, submission(Deposit(account_id, ONE)))
        assert isinstance(await in_thread, Accepted)


async def test_commands_that_have_company_wait_for_those_that_are_on_their_way(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, account_id = Gate(monkeypatch), await asyncio.to_thread(new_account)

    async def until_all_are_there(seconds: float) -> None:
        await eventually(lambda: len(batcher._waiting) == 6, "the ones on their way")

    async def send(count: int) -> list[asyncio.Task[object]]:
        return [asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE)))) for _ in range(count)]

    sent = await send(1)
    assert await asyncio.to_thread(gate.entered.wait, 30)
    sent += await send(2)
    await eventually(lambda: len(batcher._waiting) == 2, "two of them waiting")
    monkeypatch.setattr(batching, "_pause", until_all_are_there)
    gate.opened.set()
    sent += await send(4)
    assert all(isinstance(outcome, Accepted) for outcome in await asyncio.gather(*sent))
    assert gate.sizes == [1, 6]


def test_threads_that_have_company_wait_too(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, account_id = Gate(monkeypatch), new_account()

    def until_all_are_there(seconds: float) -> None:
        wait_for(lambda: len(batcher._waiting) == 6, "the ones on their way")

    monkeypatch.setattr(batching, "time", SimpleNamespace(sleep=until_all_are_there))
    with ThreadPoolExecutor(7) as callers:

        def send(count: int) -> list[Future[Outcome]]:
            return [callers.submit(batcher.submit_sync, submission(Deposit(account_id, ONE))) for _ in range(count)]

        sent = send(1)
        assert gate.entered.wait(30)
        sent += send(2)
        wait_for(lambda: len(batcher._waiting) == 2, "two of them waiting")
        gate.opened.set()
        sent += send(4)
        assert all(isinstance(answer.result(30), Accepted) for answer in sent)
    assert gate.sizes == [1, 6]


def test_a_batcher_that_closes_under_load_takes_nothing_more_and_answers_what_it_took(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    gate.opened.set()
    account_id = new_account()
    gate.opened.clear()
    answers: list[object] = []

    def submit(command: Submission) -> None:
        answers.append(batcher.submit_sync(command))

    callers = [threading.Thread(target=submit, args=(submission(Deposit(account_id, ONE)),)) for _ in range(5)]
    for caller in callers:
        caller.start()
    assert gate.entered.wait(30)
    wait_for(lambda: sum(gate.sizes) + len(batcher._waiting) == 5, "all of them in the queue")
    closing = threading.Thread(target=batcher.close)
    closing.start()
    wait_for(lambda: batcher._is_closed, "it closes")
    with pytest.raises(Overloaded, match="stopping"):
        batcher.submit_sync(submission(Deposit(account_id, ONE)))
    gate.opened.set()
    for thread in (*callers, closing):
        thread.join(30)
        assert not thread.is_alive()
    assert len(answers) == 5
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert history(account_id)[-1][2] == 5_00


def test_a_loop_that_is_gone_takes_nobody_elses_answer_with_it(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    account_id = new_account()

    async def ask_and_leave() -> None:
        asking = asyncio.create_task(batcher.submit(submission(Deposit(account_id, ONE))))
        assert await asyncio.to_thread(gate.entered.wait, 30)
        asking.cancel()  # too late to be left out: the writer has begun

    asyncio.run(ask_and_leave())
    answers: list[object] = []
    waiting = threading.Thread(target=lambda: answers.append(batcher.submit_sync(submission(Deposit(account_id, ONE)))))
    waiting.start()
    gate.opened.set()
    waiting.join(30)
    assert isinstance(answers[0], Accepted)
    assert history(account_id)[-1][2] == 2_00
