"""Connections to the portal's database for the keys: outside Django's, so that a key commits by itself.

Django's connection may be inside somebody's transaction; a key that waits for that to end could be missing when
the event that it sealed is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from typing import Any

import psycopg
from django.db import connections
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.errors import StoreUnavailable
from ledger.store.bounded import BoundedConnection

ALIAS = "default"
POOL_SIZE_MAX = 4  # per process: keys are asked for in batches, and mostly they are cached
WAIT_S_MAX = 5.0
CONNECT_S_MAX = 5
STATEMENT_MS_MAX = 10_000
# Longer than the server spends on a statement: a server that hangs says nothing at all.
ANSWER_S_MAX = 12.0
_opening = Lock()
_from_memory: ContextVar[bool] = ContextVar("from_memory", default=False)


class KeysUnavailable(StoreUnavailable):
    """The portal's database, which holds the keys of texts, does not answer; nothing was written."""

    code = "keys_unavailable"


class NotInMemory(Exception):
    """A key that is not in memory is needed, or the word of the database that memory may still be trusted."""


class KeyConnection(BoundedConnection):
    def longest_wait_s(self) -> float:
        return ANSWER_S_MAX


@contextmanager
def from_memory() -> Iterator[None]:
    """Let nothing in here wait for the portal's database: what would ask it raises NotInMemory instead."""
    token = _from_memory.set(True)
    try:
        yield
    finally:
        _from_memory.reset(token)


def pool() -> ConnectionPool[KeyConnection]:
    """Return this process's pool, opened on first use; the lock, because two threads may be the first together."""
    with _opening:
        return _opened_pool()


@lru_cache(maxsize=1)
def _opened_pool() -> ConnectionPool[KeyConnection]:
    parameters = connections[ALIAS].get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        parameters.pop(django_only, None)
    return ConnectionPool(
        connection_class=KeyConnection,
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
def connection() -> Iterator[KeyConnection]:
    """Yield a connection of this process's pool, in autocommit mode. Raises: KeysUnavailable, NotInMemory."""
    if _from_memory.get():
        raise NotInMemory
    try:
        with pool().connection() as borrowed:
            yield borrowed
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise KeysUnavailable("the portal's database, which holds the keys of texts, does not answer") from error


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
