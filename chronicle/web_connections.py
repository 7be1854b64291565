"""Django's connections in a web process: neither the server nor the wait for it takes longer than a reader's patience.

Commands that work for long (`migrate`, `rebuild_projection`, jobs) are processes of their own, and keep their time.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ledger.store.bounded import BoundedConnection

# As on the event store's connections (`ledger.store.connection`).
STATEMENT_MS_MAX = 30_000
ANSWER_S_MAX = 40.0


class WebConnection(BoundedConnection):
    def longest_wait_s(self) -> float:
        return ANSWER_S_MAX


def bound_waits() -> None:
    """Bound every connection that Django opens in this process from now on."""
    connection_created.connect(_bound, dispatch_uid="bounded waits")


def _bound(connection: BaseDatabaseWrapper, **_: Any) -> None:
    opened = connection.connection
    # Django opens psycopg's own class and takes no other; ours has one method more and nothing to keep.
    assert type(opened) is psycopg.Connection, "this is what Django opens"
    opened.__class__ = WebConnection
    opened.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
