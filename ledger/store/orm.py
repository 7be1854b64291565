"""Django's own reads of the event store, which the portal's pages are made of: tried again when they met other writers.

What goes through `ledger.store.connection` is tried again by `StoreConnection`; Django's backend for CockroachDB does
not. One wrapper around whatever Django executes there does it for every page, and a page that is half written by then
goes on where it was: nothing that it has recorded, such as who looked, is recorded twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import SerializationFailure

from ledger.store.connection import ALIAS
from ledger.store.prepared import ATTEMPTS_MAX


def look_after(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Let a connection of Django's that was just made try again; for the signal `connection_created`."""
    if connection.alias == ALIAS and _tried_again not in connection.execute_wrappers:
        connection.execute_wrappers.append(_tried_again)


def _tried_again(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Execute a statement. By itself, not in a transaction, it is tried again on 40001: the server has undone it."""
    connection = context["connection"]
    is_alone = not connection.in_atomic_block and connection.get_autocommit()
    for attempt in range(ATTEMPTS_MAX):
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            is_conflict = isinstance(error.__cause__, SerializationFailure)
            if not (is_conflict and is_alone) or attempt == ATTEMPTS_MAX - 1:
                raise
    raise AssertionError("the last attempt returns or raises")
