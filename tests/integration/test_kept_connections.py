"""Connections that threads keep: not asked before every use, and never used after their server has ended them."""

from __future__ import annotations

import select
from contextlib import closing
from typing import Any

import pytest
from django.db import connections

from chronicle import kept_connections
from chronicle.kept_connections import look_after

pytestmark = pytest.mark.usefixtures("database")
SILENCE_MS_MAX = 60_000


@pytest.fixture
def wrapper(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A connection that was asked, and used since."""
    monkeypatch.setattr(kept_connections, "ASK_AGAIN_S", 3_600.0)
    found = connections["default"]
    assert one(found) == 1
    look_after()
    assert one(found) == 1
    return found


def one(wrapper: Any) -> int:
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT 1")
        (number,) = cursor.fetchone()
    return int(number)


def test_a_connection_that_was_asked_a_moment_ago_is_not_asked_again(wrapper: Any) -> None:
    look_after()
    assert wrapper.health_check_done


def test_it_is_asked_again_after_a_while(wrapper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_connections, "ASK_AGAIN_S", 0.0)
    look_after()
    assert not wrapper.health_check_done


def test_one_that_was_not_used_since_is_asked_before_it_is(wrapper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as at_once:
        at_once.setattr(kept_connections, "ASK_AGAIN_S", 0.0)
        look_after()
    look_after()
    assert not wrapper.health_check_done


def test_one_that_the_server_ended_is_replaced_before_it_is_used(wrapper: Any) -> None:
    ended = wrapper.connection
    with closing(connections.create_connection("default")) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [ended.info.backend_pid])
    socket = select.poll()
    socket.register(ended.fileno(), select.POLLIN)
    assert socket.poll(SILENCE_MS_MAX), "the server says that it ends"
    look_after()
    assert one(wrapper) == 1
    assert wrapper.connection is not ended
