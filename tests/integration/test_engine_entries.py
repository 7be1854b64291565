"""The same group commit from wherever code runs: asynchronous and synchronous views, commands, threads, the admin."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.urls import include, path

from chronicle.roles import Role
from chronicle.urls import urlpatterns as chronicle_urls
from ledger.domain.commands import Deposit
from ledger.engine import batching
from ledger.engine.submission import Accepted
from tests.api_world import API, JSON, new_token, new_user
from tests.gate import Gate
from tests.ledger_world import history, new_account, rows, submission
from tests.servers import REPOSITORY
from tests.waiting import eventually

pytestmark = [pytest.mark.usefixtures("database"), pytest.mark.urls(__name__)]


def sync_view(request: HttpRequest, account_id: str) -> JsonResponse:
    """As the admin's views are: synchronous, in a thread."""
    outcome = batching.submit_sync(submission(Deposit(account_id, Decimal(1)), actor="sync"))
    assert isinstance(outcome, Accepted)
    return JsonResponse({"version": outcome.events[0].version})


async def async_view(request: HttpRequest, account_id: str) -> JsonResponse:
    outcome = await batching.submit(submission(Deposit(account_id, Decimal(1)), actor="async"))
    assert isinstance(outcome, Accepted)
    return JsonResponse({"version": outcome.events[0].version})


urlpatterns = [
    path("sync/<str:account_id>", sync_view),
    path("async/<str:account_id>", async_view),
    path("", include(chronicle_urls)),
]


class DepositCommand(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        outcome = batching.submit_sync(submission(Deposit(options["account_id"], Decimal(1)), actor="command"))
        assert isinstance(outcome, Accepted)


def test_a_synchronous_view_is_answered_under_wsgi_too() -> None:
    account_id = new_account()
    assert Client().get(f"/sync/{account_id}").json() == {"version": 2}


async def test_views_commands_and_threads_go_through_one_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all of them ask while the engine is at work is done in its next call."""
    account_id, token = await sync_to_async(lambda: (new_account(), new_token(new_user(Role.OPERATOR))))()
    gate = Gate(monkeypatch)
    client, headers = AsyncClient(), {"Authorization": f"Token {token}"}
    first = asyncio.create_task(client.get(f"/async/{account_id}"))
    assert await asyncio.to_thread(gate.entered.wait, 10)
    body = {"account_id": account_id, "amount": "1"}
    with ThreadPoolExecutor(4) as threads:
        loop = asyncio.get_running_loop()
        command = loop.run_in_executor(threads, lambda: DepositCommand().handle(account_id=account_id))
        thread = loop.run_in_executor(
            threads, batching.submit_sync, submission(Deposit(account_id, Decimal(1)), actor="thread")
        )
        others = [
            asyncio.create_task(client.get(f"/sync/{account_id}")),
            asyncio.create_task(client.get(f"/async/{account_id}")),
            asyncio.create_task(client.post(f"{API}/commands/deposit", body, content_type=JSON, headers=headers)),
        ]
        await eventually(lambda: len(batching._shared._waiting) == 5, "all of them in the queue")
        gate.opened.set()
        answers = await asyncio.gather(first, *others)
        await asyncio.gather(command, thread)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 201]
    assert gate.sizes == [1, 5]
    found = await sync_to_async(rows)(
        "SELECT version, metadata->>'actor', recorded_at FROM events WHERE aggregate_id = %s AND version > 2",
        account_id,
    )
    assert [version for version, *_ in found] == [3, 4, 5, 6, 7]
    assert {"sync", "async", "command", "thread"} < {actor for _, actor, _ in found}


def test_a_process_that_ends_right_after_its_command_has_carried_it_out_and_ends() -> None:
    account_id = new_account()
    program = (
        "import threading, time\n"
        "from decimal import Decimal\n"
        "from ledger.domain.commands import Deposit\n"
        "from ledger.engine import batching\n"
        "from ledger.engine.submission import Submission\n"
        f"s = Submission(Deposit({account_id!r}, Decimal(1)), actor='shell')\n"
        "threading.Thread(target=batching.submit_sync, args=(s,), daemon=True).start()\n"
        "while not batching._shared._is_draining: pass\n"  # taken, and nobody waits for the answer
    )
    command = [sys.executable, str(REPOSITORY / "manage.py"), "shell", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert history(account_id)[-1] == (2, "MoneyDeposited", 100)
