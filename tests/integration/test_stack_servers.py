"""The harness itself: the servers are real, they are ours, and the three aliases reach them."""

from __future__ import annotations

import nats
import psycopg
import pytest

from chronicle.stack.errors import StackError
from chronicle.stack.given import check_database
from tests import clean
from tests.servers import Servers, with_database


@pytest.mark.parametrize("name", ["portal", "event_store", "read_model"])
def test_the_three_databases_exist_on_postgresql_18(stack: Servers, name: str) -> None:
    with psycopg.connect(stack.postgres.url(name)) as connection:
        assert connection.info.server_version // 10000 == 18


async def test_jetstream_keeps_what_it_is_given(nats_url: str) -> None:
    connection = await nats.connect(nats_url)
    stream = connection.jetstream()
    await stream.add_stream(name="probe", subjects=["probe"])
    acknowledged = await stream.publish("probe", b"1")
    await stream.delete_stream("probe")
    await connection.close()
    assert acknowledged.seq == 1


def test_every_alias_reaches_its_own_database(database: None) -> None:
    from django.db import connections

    found = {}
    for alias in connections:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT current_database()")
            found[alias] = cursor.fetchone()[0]
    assert found["default"] == "portal"
    assert found["read_model"] == "read_model"
    assert found["event_store"] not in {"portal", "read_model"}


def test_an_empty_world_keeps_its_users(clean_stores: None, stack: Servers) -> None:
    from django.contrib.auth.models import User
    from django.contrib.sessions.models import Session

    User.objects.get_or_create(username="kept")
    Session.objects.create(session_key="gone", session_data="", expire_date="2030-01-01T00:00:00Z")
    clean.empty_everything(stack)
    assert User.objects.filter(username="kept").exists()
    assert not Session.objects.exists()


def test_tests_sign_in_to_the_event_store_without_its_owners_rights(database: None) -> None:
    from django.conf import settings
    from django.db import connections

    with connections["event_store"].cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (settings.EVENT_STORE_ROLE,)


def test_a_given_database_that_does_not_exist_is_said_so_before_anything_is_started(stack: Servers) -> None:
    """CockroachDB lets one sign in to it."""
    check_database("EVENT_STORE_URL", stack.event_store_owner_url)
    with pytest.raises(StackError, match=r"no_such_database, named by EVENT_STORE_URL, .*does not exist"):
        check_database("EVENT_STORE_URL", with_database(stack.event_store_owner_url, "no_such_database"))
