"""Empties the stores between tests that need an empty world.

The application's own role may not delete an event, so the event store is emptied by its owner.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import nats
import psycopg
from nats.js.errors import NotFoundError
from psycopg import sql

from chronicle.databases import is_cockroachdb
from ledger.drill.forgery import go_past_triggers
from ledger.engine.remembered import REMEMBERED
from ledger.subjects.keys import RING
from tests.servers import Servers, libpq

STREAM = "LEDGER"
# Users keep their accounts, groups and tokens; migrations stay applied.
KEPT_PREFIXES = ("auth_", "knox_", "django_migrations", "django_content_type")
# A test that left a transaction open holds a lock on a table: fail with its name instead of waiting for ever.
LOCK_TIMEOUT = "10s"
ATTEMPTS_MAX = 5

# Of PostgreSQL those that have had a row since they were last emptied: to empty a table that is empty already takes as
# long, and most tests write to few.
WRITTEN_TO = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0 ORDER BY relname
"""
TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
"""


def empty_everything(servers: Servers) -> None:
    empty_database(servers.event_store_owner_url)
    empty_database(servers.postgres.url("read_model"))
    empty_database(servers.postgres.url("portal"))
    # What the relay signed last: kept, it would refuse to sign the history of the next test.
    (servers.folder / "log_head").unlink(missing_ok=True)
    # What this process remembers of the world before: an account of the same id has another key and history now.
    RING.start_over()
    REMEMBERED.forget()
    # In a thread of its own: this one may be running an event loop (Playwright's, for one).
    with ThreadPoolExecutor(1) as executor:
        executor.submit(lambda: asyncio.run(delete_stream(servers.nats.url))).result()


def empty_database(url: str) -> None:
    """Remove every row of every table but the kept ones."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return delete_rows(url) if is_cockroachdb(url) else truncate_tables(url)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            # The last statement of a worker that the test before has stopped.
            if attempt == ATTEMPTS_MAX:
                raise
    return None


def truncate_tables(url: str) -> None:
    with psycopg.connect(libpq(url)) as connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_TIMEOUT))
        names = [row[0] for row in connection.execute(WRITTEN_TO) if not row[0].startswith(KEPT_PREFIXES)]
        if not names:
            return
        # Triggers that keep history from being changed keep even its owner from it; a superuser may go past them.
        if connection.info.parameter_status("is_superuser") == "on":
            connection.execute("SET session_replication_role = replica")
        tables = sql.SQL(", ").join(sql.Identifier(name) for name in names)
        # Together with what refers to them, which may be empty itself.
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(tables))


def delete_rows(url: str) -> None:
    """On CockroachDB TRUNCATE is a change of the schema: a second where deleting takes a twentieth of it."""
    with psycopg.connect(libpq(url)) as connection:
        go_past_triggers(connection)
        connection.execute(sql.SQL("SET lock_timeout = {}").format(LOCK_TIMEOUT))
        for (name,) in connection.execute(TABLES).fetchall():
            if not name.startswith(KEPT_PREFIXES):
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))


async def delete_stream(url: str) -> None:
    connection = await nats.connect(url, allow_reconnect=False)
    try:
        await connection.jetstream().delete_stream(STREAM)
    except NotFoundError:
        pass  # the test before has published nothing
    finally:
        await connection.close()
