"""64 writers at once on one account: who finds the queue full is told when to come again, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from chronicle.roles import Role
from ledger.engine import batching
from tests.api_world import API, JSON, new_id, new_token, new_user
from tests.gate import Gate
from tests.ledger_world import history, new_account, rows
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("database")
WRITERS, ROOM = 64, 16


async def deposit(token: str, account_id: str, key: str) -> Any:
    headers = {"Authorization": f"Token {token}", "Idempotency-Key": key}
    body = {"account_id": account_id, "amount": "1"}
    return await AsyncClient().post(f"{API}/commands/deposit", body, content_type=JSON, headers=headers)


async def test_a_full_queue_answers_503_at_once_and_every_writer_gets_through_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account_id, token = await sync_to_async(lambda: (new_account(), new_token(new_user(Role.OPERATOR))))()
    monkeypatch.setattr(batching, "WAITING_MAX", ROOM)
    gate = Gate(monkeypatch)
    keys = [new_id("key") for _ in range(WRITERS)]
    first = [asyncio.create_task(deposit(token, account_id, key)) for key in keys]
    # The engine stands still: whoever finds no room is answered while the others wait.
    turned_away = WRITERS - ROOM
    await eventually(
        lambda: sum(task.done() for task in first) >= turned_away - sum(gate.sizes) > 0, "the others turned away"
    )
    overloaded = [task.result() for task in first if task.done()]
    assert {answer.status_code for answer in overloaded} == {503}
    assert {answer["Retry-After"] for answer in overloaded} == {"1"}
    assert {answer.json()["code"] for answer in overloaded} == {"overloaded"}
    gate.opened.set()
    answers = dict(zip(keys, await asyncio.gather(*first), strict=True))
    accepted = [answer for answer in answers.values() if answer.status_code == 201]
    assert len(accepted) + len(overloaded) == WRITERS
    while again := [key for key, answer in answers.items() if answer.status_code == 503]:
        answers.update(
            zip(again, await asyncio.gather(*(deposit(token, account_id, key) for key in again)), strict=True)
        )
    assert {answer.status_code for answer in answers.values()} == {201}
    # All once more, as clients do that never heard: nothing happens twice.
    for start in range(0, WRITERS, ROOM):
        some = keys[start : start + ROOM]
        replays = await asyncio.gather(*(deposit(token, account_id, key) for key in some))
        assert all(replay.json()["replayed"] for replay in replays)
    events = await sync_to_async(history)(account_id)
    assert [version for version, *_ in events] == list(range(1, WRITERS + 2))
    assert events[-1][2] == WRITERS * 100
    stored = await sync_to_async(rows)(
        "SELECT metadata->>'idempotency_key' FROM events WHERE aggregate_id = %s AND version > 1", account_id
    )
    assert sorted(key for (key,) in stored) == sorted(keys)


async def test_64_writers_share_few_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id, token = await sync_to_async(lambda: (new_account(), new_token(new_user(Role.OPERATOR))))()
    gate = Gate(monkeypatch)
    gate.opened.set()
    await deposit(token, account_id, new_id("key"))  # the sign-in is believed from here on
    gate.sizes.clear()
    answers = await asyncio.gather(*(deposit(token, account_id, new_id("key")) for _ in range(WRITERS)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum(gate.sizes) == WRITERS
    assert len(gate.sizes) <= WRITERS // 4, gate.sizes
