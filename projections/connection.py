"""The projector's own connection to the read model, and the right to work that lives and dies with it.

The right is a lock of the session, so it ends with the process, however it ends. A process that hangs keeps
its session: whoever waits for the right ends a holder that the server has not heard from for some seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import structlog
from django.db import connections

from ledger.store.prepared import StoreConnection

log = structlog.get_logger()
ALIAS = "read_model"
CONNECT_S_MAX = 5
# Silence after which a waiting projector takes the turn away. With STANDBY_S of the runner it stays below the
# five seconds in which another projector has to take over. The server's own timeouts were
# not enough (ADR 3).
SILENCE_S_MAX = 3
# The read model can be made again from the journal, and rows and checkpoint are flushed together or not at
# all: so a commit need not wait for the disk. A crash of the server costs a second of work done twice.
SETTINGS = """
SET TIME ZONE 'UTC';
SET synchronous_commit = off;
SET tcp_keepalives_idle = 1;
SET tcp_keepalives_interval = 1;
SET tcp_keepalives_count = 2;
"""
# `state_change` moves with every statement. A holder that waits in one for longer may go too: it starts over.
END_SILENT_HOLDER = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s::oid AND objsubid = 1
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND clock_timestamp() - state_change > make_interval(secs => %s)
"""

Connection = StoreConnection


@contextmanager
def read_model_connection() -> Iterator[Connection]:
    """Yield a connection of the caller's own to the read model, in autocommit mode."""
    wrapper = connections[ALIAS]
    parameters = wrapper.get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        parameters.pop(django_only, None)
    # Who it is, for pg_stat_activity.
    parameters["application_name"] = f"projections {os.getpid()}"
    # psycopg prepares nothing of its own: see `ledger.store.connection`.
    own = {"autocommit": True, "connect_timeout": CONNECT_S_MAX, "prepare_threshold": None}
    with Connection.connect(**{**parameters, **own}) as connection:
        yield connection


@contextmanager
def projector_connection() -> Iterator[Connection]:
    """Yield a connection for a projector, which has to say something on it at least once a second."""
    with read_model_connection() as connection:
        connection.execute(SETTINGS)
        yield connection


def try_lock(connection: Connection, name: str, *, end_silent: bool = True) -> bool:
    """Take a right that one session at a time can have; it is this one's until the connection ends.

    When a session holds it that is silent, and need not be, that one is ended, and the right is free at the next try.
    """
    key = crc32(f"projections {name}".encode())
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
    if row and row[0]:
        return True
    if end_silent and connection.execute(END_SILENT_HOLDER, (key, SILENCE_S_MAX)).fetchall():
        log.warning("the active projector was silent, its session is ended", silence_s=SILENCE_S_MAX)
    return False
