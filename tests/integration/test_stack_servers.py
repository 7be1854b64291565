"""The harness itself: the servers are real, they are ours, and the three aliases reach them."""

from __future__ import annotations

import nats
import psycopg
import pytest

from tests.servers import Servers


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
