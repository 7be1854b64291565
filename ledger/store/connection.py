"""Connections to the event store, outside Django's ORM, and the one translation of driver errors.

The engine, the relay and the journal's readers work on psycopg connections in autocommit mode, so that an
append is one statement and one round trip. Where they connect to is still Django's `event_store` alias.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Any

import orjson
import psycopg
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors
from psycopg.sql import SQL, Identifier
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool

from ledger.errors import CommitUnknown, LedgerError, StoreConflict, StoreUnavailable, TooLate
from ledger.store.prepared import StoreConnection

ALIAS = "event_store"
# Per process: readers (6), batches (2) and the writer of single commands, these three with a second one for a moment;
# and one for the event loop. Single commands are coalesced, so few connections carry many requests.
POOL_SIZE_MAX = 13
WAIT_S_MAX = 5.0  # for a free connection; longer than this is an outage to the caller
AT_ONCE_S = 0.0001  # what an event loop may spend on finding out that none is free
CONNECT_S_MAX = 5
# What the server may spend on one statement: longer than any of ours, shorter than a stuck client's patience.
STATEMENT_MS_MAX = 30_000
# A process that stops in the middle of a transaction (an AppendStream) must not hold its locks for longer.
IDLE_MS_MAX = 5_000
_opening = Lock()


def parameters() -> dict[str, Any]:
    """Return what psycopg connects with: Django's `event_store` alias, less what only Django understands."""
    return parameters_of(connections[ALIAS])


def owner_parameters() -> dict[str, Any]:
    """Return what the event store's owner connects with, to the same database."""
    alias = connections[ALIAS]
    # A test run points the alias at a scratch database: keep that name.
    owner = {**alias.settings_dict, **settings.EVENT_STORE_OWNER, "NAME": alias.settings_dict["NAME"]}
    return parameters_of(type(alias)(owner, ALIAS))


def parameters_of(wrapper: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return what psycopg connects with to where a connection of Django's leads."""
    parameters = wrapper.get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "isolation_level"):
        parameters.pop(django_only, None)
    parameters.pop("client_encoding", None)
    # None: psycopg prepares nothing of its own. After a DROP, an ALTER or a ROLLBACK it would deallocate all that is
    # prepared on the connection, and ours with it.
    return {**parameters, "connect_timeout": CONNECT_S_MAX, "prepare_threshold": None}


def _role() -> str | None:
    """Return the role that the application's connections take: none where they sign in as it."""
    role: str | None = connections[ALIAS].settings_dict["OPTIONS"].get("assume_role")
    return role


def _prepare_pooled(connection: StoreConnection) -> None:
    connection.is_hurried = True
    _prepare(connection, _role())


def _prepare(connection: psycopg.Connection[Any], role: str | None = None) -> None:
    if role is not None:
        connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
    set_json_loads(orjson.loads, connection)
    # For UTC, and only for it, psycopg makes datetimes with datetime.UTC, which format_instant knows.
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
    connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_MS_MAX}")


@contextmanager
def dedicated_connection() -> Iterator[StoreConnection]:
    """Yield a connection of the caller's own, for a process that keeps one (the relay)."""
    with _connected(parameters(), _role()) as connection:
        yield connection


@contextmanager
def owner_connection() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection as the owner, for what the application's role may not do and must not be able to."""
    with _connected(owner_parameters()) as connection:
        yield connection


@contextmanager
def _connected(parameters: dict[str, Any], role: str | None = None) -> Iterator[StoreConnection]:
    with translated():
        connection = StoreConnection.connect(**parameters, autocommit=True)
        _prepare(connection, role)
    with connection:
        yield connection


class _LastInFirstOut(deque[StoreConnection]):
    """The pool puts to the right and takes from the left; taken from the right, it is the one that came back last.

    **Why**: connections that take turns have a server process each, and find its caches cold every time (ADR 14).
    """

    popleft = deque.pop


class _WarmPool(ConnectionPool[StoreConnection]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options, open=False)
        self._pool = _LastInFirstOut()
        self.open()


_pool: _WarmPool | None = None


def pool() -> ConnectionPool[StoreConnection]:
    """Return this process's pool, opened on first use."""
    return _pool or _opened_pool()


def _opened_pool() -> _WarmPool:
    global _pool
    with _opening:  # two threads may be the first together
        if _pool is None:
            _pool = _WarmPool(
                connection_class=StoreConnection,
                kwargs={**parameters(), "autocommit": True},
                min_size=1,
                max_size=POOL_SIZE_MAX,
                timeout=WAIT_S_MAX,
                configure=_prepare_pooled,
                name=ALIAS,
            )
        return _pool


def close_pool() -> None:
    global _pool
    with _opening:
        if _pool is not None:
            _pool.close()
            _pool = None


class connection:  # noqa: N801 (used as a function)
    """Borrow a pooled connection: `with connection() as conn`. Raises: StoreUnavailable when none can be had.

    Not `pool().connection()`, which ends a transaction that autocommit never began: 15 µs of every use (ADR 11).
    """

    __slots__ = ("_borrowed", "_pool", "_wait_s")

    def __init__(self, wait_s: float = WAIT_S_MAX) -> None:
        self._wait_s = wait_s

    def __enter__(self) -> StoreConnection:
        self._pool = pool()
        try:
            self._borrowed = self._pool.getconn(self._wait_s)
        except psycopg.Error as error:
            _raise_ours(error)
            raise
        return self._borrowed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.putconn(self._borrowed)
        _raise_ours(error)


class translated:  # noqa: N801 (used as a function)
    """Turn driver errors into ours: `with translated(committing=True)`.

    `committing`: a COMMIT may be on its way, so a broken connection means that nobody knows (CommitUnknown)
    rather than that nothing happened (StoreUnavailable).
    """

    __slots__ = ("_committing",)

    def __init__(self, *, committing: bool = False) -> None:
        self._committing = committing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _raise_ours(error, self._committing)


def _raise_ours(error: BaseException | None, committing: bool = False) -> None:
    if isinstance(error, psycopg.Error) and (ours := _translation(error, committing)):
        raise ours from error


def _translation(error: psycopg.Error, committing: bool) -> LedgerError | None:
    """Return our error for a driver's, or None where it means that we are wrong."""
    match error:
        case errors.NotNullViolation():
            # The outbox's recorded_at is null when the server's clock was past the deadline, and its events are when
            # a remembered head is not there: sql.INSERT_OUTBOX.
            return TooLate("the transaction took longer than its recorded_at allows, or its heads were not there")
        case (
            errors.UniqueViolation()
            | errors.SerializationFailure()
            | errors.DeadlockDetected()
            | errors.LockNotAvailable()
        ):
            return StoreConflict(f"{type(error).__name__}: {error}")
        case errors.StatementCompletionUnknown():
            return CommitUnknown(str(error))
        case psycopg.OperationalError() if committing:
            return CommitUnknown(f"the connection broke while committing: {error}")
        case psycopg.OperationalError():
            return StoreUnavailable("the event store does not answer")
        case _:
            return None
