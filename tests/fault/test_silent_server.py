"""A server that takes a question and says nothing: whoever reads is told so in time, and the thread reads on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from django.test import Client

from chronicle import web_connections
from chronicle.roles import Role
from ledger.api import base
from ledger.store.connection import parameters_of
from tests.api_world import client_with, get, ok, problem
from tests.fault.proxy import Fault, FaultyServer, faulty_event_store
from tests.ledger_world import history, new_account, scalar

pytestmark = pytest.mark.usefixtures("database")
WAIT_S = 0.5


@pytest.fixture
def reader(database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client whose reads are done in one new thread, with connections as a web process has them."""
    thread = ThreadPoolExecutor(1)
    monkeypatch.setattr(base, "_readers", thread)
    web_connections.bound_waits()
    yield client_with(Role.AUDITOR)
    connection_created.disconnect(dispatch_uid="bounded waits")
    thread.submit(connections.close_all).result()
    thread.shutdown()


def given_up(reader: Client, path: str, code: str) -> None:
    """Ask a server that is silent, and no longer than a moment: for what answers a crowded machine may need more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_connections, "ANSWER_S_MAX", WAIT_S)
        problem(get(reader, path), 503, code)


@pytest.mark.parametrize("path", ["events?aggregate_id={}", "events/{}", "refusals"])
def test_a_read_of_a_silent_event_store_is_given_up(reader: Client, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    account_id = new_account()
    event_id = scalar("SELECT event_id FROM events WHERE aggregate_id = %s", account_id)
    path = path.format(event_id if path.startswith("events/") else account_id)
    with faulty_event_store(monkeypatch) as server:
        ok(get(reader, path))
        server.fault_for = lambda request: Fault.SILENCE if b"SELECT" in request else None
        given_up(reader, path, "store_unavailable")
        assert server.injected == [Fault.SILENCE]
        server.fault_for = lambda request: None
        ok(get(reader, path))
    assert len(history(account_id)) == 1


@pytest.mark.parametrize("path", ["accounts", "trial-balance"])
def test_a_read_of_a_silent_read_model_is_given_up(reader: Client, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    server = FaultyServer(parameters_of(connections["read_model"]))
    with server.running():
        through: dict[str, Any] = {**connections.settings["read_model"], "HOST": "127.0.0.1", "PORT": str(server.port)}
        through["OPTIONS"] = {**through["OPTIONS"], "sslmode": "disable", "gssencmode": "disable"}
        monkeypatch.setitem(connections.settings, "read_model", through)
        ok(get(reader, path))
        server.fault_for = lambda request: Fault.SILENCE if b"SELECT" in request else None
        given_up(reader, path, "database_unavailable")
        assert set(server.injected) == {Fault.SILENCE}, "the question whether the server is there may be one of them"
        server.fault_for = lambda request: None
        ok(get(reader, path))
