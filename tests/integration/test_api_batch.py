"""POST commands/batch: an outcome each, in order, whatever the elements are, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client

from chronicle.roles import Role
from ledger.api import batch
from ledger.engine import execute as engine
from ledger.engine.execute import COMMANDS_MAX
from ledger.engine.submission import Outcome, Submission
from tests.api_world import API, JSON, new_id, new_token, new_user, ok, open_account, post, problem
from tests.ledger_world import history, new_account, table_sizes
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("database")
NONSENSE: list[tuple[Any, str]] = [
    (None, "invalid_field"),
    (7, "invalid_field"),
    ("deposit", "invalid_field"),
    ([], "invalid_field"),
    ({}, "missing_field"),
    ({"type": None}, "missing_field"),
    ({"type": 7}, "invalid_field"),
    ({"type": ["deposit"]}, "invalid_field"),
    ({"type": "batch", "commands": []}, "invalid_field"),
    ({"type": "settle-transfer", "transfer_id": "t"}, "invalid_field"),
    ({"type": "erase-subject", "account_id": "a", "grounds": "b"}, "invalid_field"),
    ({"type": "deposit"}, "missing_field"),
    ({"type": "deposit", "account_id": "a", "amount": "1", "command_id": "c"}, "unknown_field"),
    ({"type": "deposit", "account_id": "a", "amount": {"1": 1}}, "invalid_amount"),
    ({"type": "deposit", "account_id": "a", "amount": "1", "idempotency_key": 7}, "invalid_field"),
    ({"type": "deposit", "account_id": "a", "amount": "1", "idempotency_key": ""}, "invalid_idempotency_key"),
    ({"type": "deposit", "account_id": "a", "amount": "1", "idempotency_key": "é"}, "invalid_idempotency_key"),
    ({"type": "multi-transfer", "sources": [None], "targets": {}}, "invalid_field"),
    ({"type": "reverse", "reason": "mine", "command_id": "no uuid"}, "invalid_field"),
    ({"type": "withdraw", "account_id": "nobody", "amount": "1"}, "account_not_found"),
]


def test_nonsense_among_commands_is_an_outcome_of_its_own_and_the_others_are_carried_out(operator: Client) -> None:
    account_id = open_account(operator)
    deposit = {"type": "deposit", "account_id": account_id, "amount": "1"}
    elements = [element for nonsense, _ in NONSENSE for element in (nonsense, deposit)]
    answered = ok(post(operator, "batch", {"commands": elements}))
    assert (answered["success"], answered["accepted"], answered["rejected"]) == (False, len(NONSENSE), len(NONSENSE))
    codes = [outcome.get("code", "accepted") for outcome in answered["outcomes"]]
    assert codes == [code for _, expected in NONSENSE for code in (expected, "accepted")]
    assert history(account_id)[-1] == (1 + len(NONSENSE), "MoneyDeposited", 100 * len(NONSENSE))


@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_that_is_sent_again_under_its_key_does_nothing_twice(operator: Client, atomic: bool) -> None:
    account_id, key, own = open_account(operator), new_id("batch"), new_id("own")
    deposit = {"type": "deposit", "account_id": account_id, "amount": "1"}
    commands = [deposit, deposit, {**deposit, "idempotency_key": own}, {**deposit, "idempotency_key": None}]
    body = {"commands": commands, "atomic": atomic}
    first, again = (ok(post(operator, "batch", body, Idempotency_Key=key)) for _ in range(2))
    assert [outcome["replayed"] for outcome in first["outcomes"]] == [False] * 4
    assert [outcome["replayed"] for outcome in again["outcomes"]] == [True] * 4
    assert [o["event_id"] for o in again["outcomes"]] == [o["event_id"] for o in first["outcomes"]]
    assert history(account_id)[-1] == (5, "MoneyDeposited", 4_00)
    body["commands"] = [deposit, {**deposit, "amount": "2"}]
    codes = [o.get("code", "replayed") for o in ok(post(operator, "batch", body, Idempotency_Key=key))["outcomes"]]
    assert codes == ["replayed", "idempotency_key_reused"]
    single = ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}, Idempotency_Key=f"{key}/3"), 201)
    assert single["replayed"] is True
    assert history(account_id)[-1] == (5, "MoneyDeposited", 4_00)


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 251])
def test_a_batch_whose_key_is_none_is_refused_as_a_whole(operator: Client, key: str) -> None:
    account_id = open_account(operator)
    body = {"commands": [{"type": "deposit", "account_id": account_id, "amount": "1"}]}
    problem(post(operator, "batch", body, Idempotency_Key=key), 400, "invalid_idempotency_key")
    assert len(history(account_id)) == 1
    assert ok(post(operator, "batch", body, Idempotency_Key=new_id("k").ljust(250, "k")))["success"]


def test_a_defect_is_the_outcome_of_the_command_that_it_came_with(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, real, keys = (
        open_account(operator),
        engine.execute_in_one_transaction,
        [new_id("key") for _ in range(5)],
    )
    commands = [{"type": "deposit", "account_id": account_id, "amount": "1", "idempotency_key": key} for key in keys]

    def fall_over(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        if any(submission.idempotency_key == keys[3] for submission in submissions):
            raise ZeroDivisionError("a defect")
        return real(submissions, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "execute_in_one_transaction", fall_over)
        answered = ok(post(operator, "batch", {"commands": commands}))
    assert (answered["success"], answered["accepted"], answered["rejected"]) == (False, 4, 1)
    failed = answered["outcomes"][3]
    assert (failed["code"], failed["status"]) == ("internal_error", 500)
    assert "same idempotency key" in failed["detail"]
    assert "ZeroDivisionError" not in json.dumps(answered)
    again = ok(post(operator, "batch", {"commands": commands}))
    assert [outcome["replayed"] for outcome in again["outcomes"]] == [True, True, True, False, True]
    assert history(account_id)[-1] == (6, "MoneyDeposited", 5_00)


@pytest.mark.parametrize(("nonsense", "code"), NONSENSE[:-1])
def test_all_or_nothing_with_nonsense_in_it_writes_nothing(operator: Client, nonsense: Any, code: str) -> None:
    account_id = open_account(operator)
    deposit = {"type": "deposit", "account_id": account_id, "amount": "1", "idempotency_key": new_id("key")}
    before = table_sizes()
    answered = ok(post(operator, "batch", {"commands": [deposit, nonsense], "atomic": True}))
    assert [outcome["code"] for outcome in answered["outcomes"]] == ["batch_aborted", code]
    assert table_sizes() == before
    assert ok(post(operator, "batch", {"commands": [deposit], "atomic": True}))["success"], "its key is free still"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "invalid_json"),
        ("[]", 400, "body_not_object"),
        ({}, 400, "missing_field"),
        ({"commands": {}}, 400, "invalid_field"),
        ({"commands": []}, 400, "invalid_field"),
        ({"commands": [None] * (COMMANDS_MAX + 1)}, 400, "invalid_field"),
        ({"commands": [{}], "atomic": 1}, 400, "invalid_field"),
        ({"commands": [{}], "dry_run": "yes"}, 400, "invalid_field"),
        ({"commands": [{}], "Atomic": True}, 400, "unknown_field"),
        ('{"commands": [{"type": "deposit", "type": "withdraw"}]}', 400, "duplicate_key"),
        ('{"commands": ' + "[" * 100_000, 400, "invalid_json"),
        (b'{"commands": [' + b" " * batch.BatchParser.body_bytes_max, 413, "body_too_large"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_is_no_batch_is_a_problem_and_writes_nothing(
    operator: Client, body: Any, status: int, code: str
) -> None:
    before = table_sizes()
    problem(post(operator, "batch", body), status, code)
    assert table_sizes() == before


def test_ten_thousand_commands_have_ten_thousand_outcomes_in_order(operator: Client) -> None:
    account_id, run = open_account(operator), new_id("run")
    elements = [
        {"type": "deposit", "account_id": account_id, "amount": str(n + 1), "idempotency_key": f"{run}-{n}"}
        for n in range(COMMANDS_MAX)
    ]
    answered = ok(post(operator, "batch", {"commands": elements}))
    assert answered["success"]
    versions = [outcome["events"][0]["version"] for outcome in answered["outcomes"]]
    assert versions == list(range(2, COMMANDS_MAX + 2))
    total = COMMANDS_MAX * (COMMANDS_MAX + 1) // 2
    assert answered["outcomes"][-1]["balances"][account_id]["balance"] == f"{total}.00"
    again = ok(post(operator, "batch", {"commands": elements}))
    assert all(outcome["replayed"] for outcome in again["outcomes"])
    assert len(history(account_id)) == COMMANDS_MAX + 1


class StandingStill:
    """Batches that have begun stand still until `go`; `threads` are those in which they were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.threads = threading.Event(), list[str]()
        read = batch.submission_of_element

        def reading(*arguments: Any) -> Any:
            self.threads.append(threading.current_thread().name)
            assert self.go.wait(30)
            return read(*arguments)

        monkeypatch.setattr(batch, "submission_of_element", reading)


async def test_batches_are_worked_on_beside_the_event_loop_and_one_too_many_is_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account_id, token = await sync_to_async(lambda: (new_account(), new_token(new_user(Role.OPERATOR))))()
    headers, still = {"Authorization": f"Token {token}"}, StandingStill(monkeypatch)
    deposit = {"type": "deposit", "account_id": account_id, "amount": "1"}

    async def send(command: str, body: Any) -> Any:
        return await AsyncClient().post(
            f"{API}/commands/{command}", json.dumps(body), content_type=JSON, headers=headers
        )

    room = batch.BATCHES_AT_ONCE + batch.BATCHES_WAITING_MAX
    sent = [asyncio.create_task(send("batch", {"commands": [deposit]})) for _ in range(room + 3)]
    await eventually(lambda: sum(task.done() for task in sent) == 3, "the last three turned away")
    turned_away = [task.result() for task in sent if task.done()]
    assert [(a.status_code, a.json()["code"], a["Retry-After"]) for a in turned_away] == [(503, "overloaded", "1")] * 3
    await eventually(lambda: len(still.threads) == batch.BATCHES_AT_ONCE, "as many at work as may be")
    single = await send("deposit", {"account_id": account_id, "amount": "1"})
    assert single.status_code == 201, "whoever sends one command does not wait for them"
    still.go.set()
    answers = [await task for task in sent]
    assert sorted(answer.status_code for answer in answers) == [200] * room + [503] * 3
    assert all(name.startswith("batch") for name in still.threads)
    assert (await sync_to_async(history)(account_id))[-1][2] == 100 * (room + 1)


async def test_who_leaves_before_his_batch_begins_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    still = StandingStill(monkeypatch)
    work = [asyncio.create_task(batch._in_turn(lambda: batch.submission_of_element({}, "x"))) for _ in range(10)]  # type: ignore[arg-type, return-value]
    await eventually(lambda: len(still.threads) == batch.BATCHES_AT_ONCE, "the first ones at work")
    work[-1].cancel()
    await asyncio.gather(work[-1], return_exceptions=True)
    work.append(asyncio.create_task(batch._in_turn(lambda: batch.submission_of_element({}, "x"))))  # type: ignore[arg-type, return-value]
    still.go.set()
    results = await asyncio.gather(*work, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results].count(True) == 1
    assert not any(isinstance(result, batch.Overloaded) for result in results)
