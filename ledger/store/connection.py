"""Connections to the event store, outside Django's ORM, and the one translation of driver errors.

The engine, the relay and the journal's readers work on psycopg connections in autocommit mode, so that an
append is one statement and one round trip. Where they connect to is still Django's `event_store` alias.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import orjson
import psycopg
from django.db import connections
from psycopg import errors
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.errors import CommitUnknown, LedgerError, StoreConflict, StoreUnavailable, TooLate

ALIAS = "event_store"
POOL_SIZE_MAX = 8  # per process; writers are coalesced, so few connections carry many requests
WAIT_S_MAX = 5.0  # for a free connection; longer than this is an outage to the caller
CONNECT_S_MAX = 5
# What the server may spend on one statement: longer than any of ours, shorter than a stuck client's patience.
STATEMENT_MS_MAX = 30_000
_CONFLICTS = (errors.UniqueViolation, errors.SerializationFailure, errors.DeadlockDetected)


def parameters() -> dict[str, Any]:
    """Return what psycopg connects with: Django's `event_store` alias, less what only Django understands."""
    wrapper = connections[ALIAS]
    parameters = wrapper.get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "isolation_level"):
        parameters.pop(django_only, None)
    parameters.pop("client_encoding", None)
    return {**parameters, "connect_timeout": CONNECT_S_MAX}


def _prepare(connection: psycopg.Connection[Any]) -> None:
    set_json_loads(orjson.loads, connection)
    # For UTC, and only for it, psycopg makes datetimes with datetime.UTC, which format_instant knows.
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")


@contextmanager
def dedicated_connection() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection of the caller's own, for a process that keeps one (the relay)."""
    with translated():
        connection = psycopg.connect(**parameters(), autocommit=True)
        _prepare(connection)
    with connection:
        yield connection


@lru_cache(maxsize=1)
def pool() -> ConnectionPool[psycopg.Connection[Any]]:
    """Return this process's pool, opened on first use."""
    return ConnectionPool(
        kwargs={**parameters(), "autocommit": True},
        min_size=1,
        max_size=POOL_SIZE_MAX,
        timeout=WAIT_S_MAX,
        configure=_prepare,
        name=ALIAS,
        open=True,
    )


def close_pool() -> None:
    if pool.cache_info().currsize:
        pool().close()
        pool.cache_clear()


@contextmanager
def connection() -> Iterator[psycopg.Connection[Any]]:
    """Yield a pooled connection. Raises: StoreUnavailable when none can be had."""
    with translated(), pool().connection() as borrowed:
        yield borrowed


@contextmanager
def translated(*, committing: bool = False) -> Iterator[None]:
    """Turn driver errors into ours.

    `committing`: a COMMIT may be on its way, so a broken connection means that nobody knows (CommitUnknown)
    rather than that nothing happened (StoreUnavailable).
    """
    try:
        yield
    except LedgerError:
        raise
    except errors.NotNullViolation as error:
        # The outbox's recorded_at is null exactly when the server's clock was past the deadline: sql.INSERT_OUTBOX.
        raise TooLate("the transaction took longer than its recorded_at allows") from error
    except _CONFLICTS as error:
        raise StoreConflict(f"{type(error).__name__}: {error}") from error
    except errors.StatementCompletionUnknown as error:
        raise CommitUnknown(str(error)) from error
    except (psycopg.OperationalError, PoolTimeout) as error:
        if committing:
            raise CommitUnknown(f"the connection broke while committing: {error}") from error
        raise StoreUnavailable("the event store does not answer") from error
