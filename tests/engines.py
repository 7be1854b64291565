"""Which engine holds the event store in this run, and the few things that each does in its own way.

A test that only one engine can pass says why: `@postgresql_only("…")`. All others run on both.
"""

from __future__ import annotations

import psycopg
import pytest
from django.conf import settings

from chronicle.databases import is_cockroachdb
from tests.servers import libpq

ON_COCKROACHDB = is_cockroachdb(settings.EVENT_STORE_URL)
# A column that has one value for all rows that one transaction has written.
WRITTEN_BY = "crdb_internal_mvcc_timestamp" if ON_COCKROACHDB else "xmin::text"
# Statements of this database that wait for another transaction's lock.
_WAITING = (
    "SELECT count(*) FROM crdb_internal.cluster_locks WHERE database_name = current_database() AND NOT granted"
    if ON_COCKROACHDB
    else "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def postgresql_only(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(ON_COCKROACHDB, reason=reason)


def waiting_for_locks() -> int:
    """Return how many statements wait for a lock in the event store; only its owner may see that on CockroachDB."""
    with psycopg.connect(libpq(settings.EVENT_STORE_OWNER_URL), autocommit=True) as owner:
        (count,) = owner.execute(_WAITING).fetchone()  # type: ignore[misc]
    return int(count)
