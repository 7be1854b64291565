"""The access log from the event loop: no look is lost, none is answered before it is on record, nobody spoils another's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections
from django.test import AsyncClient

from auditor import access_log, looks
from auditor.looks import Look
from auditor.models import AccessLogEntry
from chronicle.roles import Role
from ledger.store import prepared
from tests.api_world import API, new_id, new_token, new_user, problem
from tests.fault.proxy import Fault, FaultyServer
from tests.ledger_world import new_account
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("database")
NOBODY = -1


@pytest.fixture(autouse=True)
def fresh_connections() -> Iterator[None]:
    looks.close()
    yield
    looks.close()


async def in_database(function: Any, *arguments: Any) -> Any:
    """Call it in the thread that async tests share, on connections of its own: a test before may have ended them."""

    def anew() -> Any:
        connections.close_all()
        return function(*arguments)

    return await sync_to_async(anew)()


async def an_auditor() -> Any:
    return await in_database(new_user, Role.AUDITOR)


def look(user_id: int, subject_id: str) -> Look:
    return Look(user_id, access_log.ACCOUNT, subject_id, "/there", datetime.now(UTC))


async def subjects(user_id: int) -> list[str]:
    found = AccessLogEntry.objects.filter(user_id=user_id).order_by("id").values_list("subject_id", flat=True)
    seen: list[str] = await in_database(list, found)
    return seen


async def test_looks_that_come_together_are_written_together_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    user, ids = await an_auditor(), [new_id() for _ in range(600)]
    statements: list[int] = []
    insert = looks._insert

    async def counted(written: list[Look]) -> None:
        statements.append(len(written))
        await insert(written)

    monkeypatch.setattr(looks, "_insert", counted)
    await asyncio.gather(*(looks.write([look(user.pk, id_)]) for id_ in ids))
    assert await subjects(user.pk) == ids
    assert statements == [250, 250, 100]


async def test_a_look_that_is_wrong_is_told_to_its_caller_alone() -> None:
    user = await an_auditor()
    calls = [looks.write([look(user_id, "a")]) for user_id in (user.pk, NOBODY, user.pk)]
    first, wrong, last = await asyncio.gather(*calls, return_exceptions=True)
    assert (first, last) == (None, None)
    assert isinstance(wrong, psycopg.IntegrityError)
    assert await subjects(user.pk) == ["a", "a"]


async def test_whoever_leaves_takes_no_look_along() -> None:
    user, left = await an_auditor(), new_id()
    leaving = asyncio.create_task(looks.write([look(user.pk, left)]))
    staying = asyncio.create_task(looks.write([look(user.pk, "stays")]))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert leaving.cancelled()
    assert await subjects(user.pk) == [left, "stays"]


async def test_a_connection_that_the_server_ended_is_replaced() -> None:
    user = await an_auditor()
    await looks.write([look(user.pk, "before")])
    (kept,) = looks._kept

    def end() -> None:
        with closing(connections.create_connection("default")) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [kept.info.backend_pid])

    await in_database(end)
    await eventually(lambda: bool(kept.socket.poll(0)), "the server says that it ends")
    await looks.write([look(user.pk, "after")])
    assert await subjects(user.pk) == ["before", "after"]


async def test_every_loop_has_its_own_writer_and_leaves_nothing_behind() -> None:
    # A test before may have left a loop of its own running in some thread.
    user, others = await an_auditor(), set(looks._writers)

    def elsewhere() -> None:
        asyncio.run(looks.write([look(user.pk, "elsewhere")]))

    await asyncio.gather(asyncio.to_thread(elsewhere), looks.write([look(user.pk, "here")]))
    assert sorted(await subjects(user.pk)) == ["elsewhere", "here"]
    assert set(looks._writers) <= {asyncio.get_running_loop(), *others}


async def test_a_server_that_is_silent_is_not_waited_for_and_nobody_is_shown_what_is_not_on_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account_id, user = await in_database(new_account), await an_auditor()
    headers = {"Authorization": f"Token {await in_database(new_token, user)}"}

    async def read() -> Any:
        at = {"timestamp": "2100-01-01T00:00:00Z"}
        return await AsyncClient().get(f"{API}/accounts/{account_id}/balance-at", at, headers=headers)

    assert (await read()).status_code == 200
    looks.close()
    parameters = looks.parameters_of(connections["default"])
    proxy = FaultyServer(parameters)
    with proxy.running():
        through = {**parameters, "host": "127.0.0.1", "port": proxy.port, "sslmode": "disable", "gssencmode": "disable"}
        monkeypatch.setattr(looks, "parameters_of", lambda _: through)
        proxy.fault_for = lambda request: Fault.SILENCE if b"access_log" in request else None
        with monkeypatch.context() as impatient:
            impatient.setattr(prepared, "ANSWER_MS_MAX", 1_000)
            answer = problem(await read(), 503, "database_unavailable")
        assert answer["detail"] == "the portal's database does not answer"
        assert proxy.injected == [Fault.SILENCE]
        proxy.fault_for = lambda request: None
        assert (await read()).status_code == 200
        looks.close()
    assert await subjects(user.pk) == [account_id] * 2


async def test_a_database_that_is_away_is_djangos_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {**looks.parameters_of(connections["default"]), "host": "127.0.0.1", "port": 1}
    monkeypatch.setattr(looks, "parameters_of", lambda _: nowhere)
    with pytest.raises(OperationalError, match="cannot be written"):
        await looks.write([look(NOBODY, "a")])
