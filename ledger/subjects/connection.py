"""Connections to the portal's database for the keys: outside Django's, so that a key commits by itself.

Django's connection may be inside somebody's transaction; a key that waits for that to end could be missing when
the event that it sealed is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

import psycopg
from django.db import connections
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.errors import StoreUnavailable

ALIAS = "default"
POOL_SIZE_MAX = 4  # per process: keys are asked for in batches, and mostly they are cached
WAIT_S_MAX = 5.0
CONNECT_S_MAX = 5
STATEMENT_MS_MAX = 10_000
_opening = Lock()


class KeysUnavailable(StoreUnavailable):
    """The portal's database, which holds the keys of texts, does not answer; nothing was written."""

    code = "keys_unavailable"


def pool() -> ConnectionPool[psycopg.Connection[Any]]:
    """Return this process's pool, opened on first use; the lock, because two threads may be the first together."""
    with _opening:
        return _opened_pool()


@lru_cache(maxsize=1)
def _opened_pool() -> ConnectionPool[psycopg.Connection[Any]]:
    parameters = connections[ALIAS].get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        parameters.pop(django_only, None)
    return ConnectionPool(
        kwargs={**parameters, "connect_timeout": CONNECT_S_MAX, "autocommit": True},
        min_size=1,
        max_size=POOL_SIZE_MAX,
        timeout=WAIT_S_MAX,
        configure=_prepare,
        name="subject keys",
        open=True,
    )


def close_pool() -> None:
    with _opening:
        if _opened_pool.cache_info().currsize:
            _opened_pool().close()
            _opened_pool.cache_clear()


@contextmanager
def connection() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection of this process's pool, in autocommit mode. Raises: KeysUnavailable."""
    try:
        with pool().connection() as borrowed:
            yield borrowed
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise KeysUnavailable("the portal's database, which holds the keys of texts, does not answer") from error


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
