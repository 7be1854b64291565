"""What watches the system: is it up, is it ready, how far is it."""

from __future__ import annotations

import asyncio
import re
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from chronicle import health
from chronicle.roles import Role
from chronicle.stack.ports import ReservedPort
from ledger.api.base import READERS, in_thread
from tests.api_world import client_with, ok, open_account, problem
from tests.read_world import order_everything, projector, wait_until_applied

PARTS = {"default", "event_store", "read_model", "nats"}


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", set())


@pytest.fixture
def nats_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.settings, "NATS_URL", f"nats://127.0.0.1:{ReservedPort().release()}")


def test_a_process_that_is_up_says_so_and_asks_nobody() -> None:
    # No fixture gives access to a database here: asking one would be an error.
    assert ok(Client().get("/healthz")) == {"status": "ok"}


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_whoever_posts_where_there_is_only_something_to_see_is_told_so(address: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(address)
    problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD"


@pytest.mark.usefixtures("database", "nothing_known")
def test_everything_that_answers_is_ready() -> None:
    answer = ok(Client().get("/readyz"))
    assert answer["status"] == "ready"
    assert set(answer["checks"]) == PARTS
    assert all(check["ok"] for check in answer["checks"].values())


def not_ready() -> dict[str, Any]:
    answer = ok(Client().get("/readyz"), 503)
    assert answer["status"] == "not_ready"
    return {name: check["problem"] for name, check in answer["checks"].items() if not check["ok"]}


@pytest.mark.usefixtures("database", "nats_away")
def test_without_nats_it_is_not_ready_and_says_which() -> None:
    assert set(not_ready()) == {"nats"}


@pytest.mark.usefixtures("database", "nothing_known")
@pytest.mark.parametrize("alias", ["default", "event_store", "read_model"])
def test_without_a_database_it_is_not_ready_and_says_which(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(connections[alias].settings_dict, "NAME", "no_such_database")
        _forget_connections()
        assert set(not_ready()) == {alias}
    _forget_connections()


def _forget_connections() -> None:
    """Let every reader thread connect anew, with the settings as they are now."""
    all_of_them = Barrier(READERS)

    def close() -> None:
        all_of_them.wait(60)
        connections.close_all()

    async def close_in_all() -> None:
        await asyncio.gather(*(in_thread(close) for _ in range(READERS)))

    asyncio.run(close_in_all())


@pytest.mark.usefixtures("database", "nothing_known")
def test_a_database_that_lacks_a_migration_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = health.MigrationExecutor.migration_plan
    monkeypatch.setattr(
        health.MigrationExecutor, "migration_plan", lambda self, targets: applied(self, targets) or [("one", False)]
    )
    assert set(not_ready().values()) == {"1 migrations are not applied"}


@pytest.mark.usefixtures("clean_stores")
def test_metrics_tell_how_far_the_journal_and_the_projections_are() -> None:
    open_account(client_with(Role.OPERATOR), "5")
    with projector():
        order_everything()
        wait_until_applied()
    text = Client().get("/metrics").text
    assert value(text, "chronicle_journal_head_position") == 2
    assert value(text, "chronicle_outbox_commands") == 0
    for projection in ("accounts", "transactions", "transfers"):
        assert value(text, f'chronicle_projection_position{{projection="{projection}"}}') == 2
        assert value(text, f'chronicle_projection_lag_events{{projection="{projection}"}}') == 0
        assert value(text, f'chronicle_projection_alarm{{projection="{projection}"}}') == 0
    assert value(text, "process_resident_memory_bytes") > 0
    assert value(text, "chronicle_commands_per_call_count") > 0


@pytest.mark.usefixtures("clean_stores")
def test_metrics_show_what_the_relay_has_still_to_do() -> None:
    open_account(client_with(Role.OPERATOR))
    assert value(Client().get("/metrics").text, "chronicle_outbox_commands") == 1


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{name} is not in\n{text}"
    return float(found[1])


@pytest.mark.usefixtures("database")
def test_metrics_are_for_administrators_and_for_this_machine() -> None:
    assert Client(REMOTE_ADDR="127.0.0.1").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="::1").get("/metrics").status_code == 200
    problem(Client(REMOTE_ADDR="10.0.0.9").get("/metrics"), 401, "not_signed_in")
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        problem(Client(headers={header: "127.0.0.1"}).get("/metrics"), 401, "not_signed_in")
    for role, status in ((Role.AUDITOR, 403), (Role.OPERATOR, 403), (Role.ADMINISTRATOR, 200)):
        assert client_with(role).get("/metrics", REMOTE_ADDR="10.0.0.9").status_code == status
