"""The projector's own connection to the read model, and the right to work that lives and dies with it.

The right is a lock of the session, so it ends with the process, however it ends. A process that hangs
instead, or whose machine is gone, lets the server end the session: it has to be heard from every few seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import psycopg
from django.db import connections

ALIAS = "read_model"
CONNECT_S_MAX = 5
# Silence after which the server takes the turn away. With STANDBY_S of the runner it stays below the five
# seconds in which another projector has to take over.
SILENCE_S_MAX = 3
# The read model can be made again from the journal, and rows and checkpoint are flushed together or not at
# all: so a commit need not wait for the disk. A crash of the server costs a second of work done twice.
SETTINGS = f"""
SET TIME ZONE 'UTC';
SET synchronous_commit = off;
SET idle_session_timeout = '{SILENCE_S_MAX}s';
SET idle_in_transaction_session_timeout = '{SILENCE_S_MAX}s';
SET tcp_keepalives_idle = 1;
SET tcp_keepalives_interval = 1;
SET tcp_keepalives_count = 2;
"""
# A process that hangs between two messages of a pipeline leaves its session neither idle nor idle in transaction.
# PostgreSQL 17 and later can end that too.
TRANSACTION_TIMEOUT = f"SET transaction_timeout = '{SILENCE_S_MAX}s'"
TRANSACTION_TIMEOUT_SINCE = 170_000

Connection = psycopg.Connection[Any]


@contextmanager
def read_model_connection() -> Iterator[Connection]:
    """Yield a connection of the caller's own to the read model, in autocommit mode."""
    wrapper = connections[ALIAS]
    parameters = wrapper.get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        parameters.pop(django_only, None)
    # Who it is, for pg_stat_activity.
    parameters["application_name"] = f"projections {os.getpid()}"
    with psycopg.connect(**parameters, autocommit=True, connect_timeout=CONNECT_S_MAX) as connection:
        yield connection


@contextmanager
def projector_connection() -> Iterator[Connection]:
    """Yield a connection that the server ends when nothing is heard on it for SILENCE_S_MAX."""
    with read_model_connection() as connection:
        connection.execute(SETTINGS)
        if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            connection.execute(TRANSACTION_TIMEOUT)
        yield connection


def try_lock(connection: Connection, name: str) -> bool:
    """Take a right that one session at a time can have; it is this one's until the connection ends."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (crc32(f"projections {name}".encode()),)).fetchone()
    return bool(row and row[0])
