"""A scratch copy of the event store for each attack, on the same server, dropped afterwards.

The original is only read, and may grow meanwhile: a copy is of one snapshot, cut at its last signed head. Settings of
this process point to the copy while the drill looks for what it did.

A drill that is killed leaves its copies behind, and the next one drops them. A drill that runs is known by a session
that it keeps open under the name of its copies, so that no other takes them away.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import sql
from psycopg.conninfo import make_conninfo

from chronicle.databases import COCKROACHDB_SCHEME
from ledger.store.connection import ALIAS

# What a copy has of each table: all that the last head covers. What came after it is under nobody's signature yet, and
# in an hour, when the drill is done, verification would say so of the copy.
COPIED = {
    "events": "SELECT e.* FROM {events} AS e JOIN {journal} AS j ON j.aggregate_id = e.aggregate_id "
    "AND j.version = e.version WHERE j.position <= {size}",
    "journal": "SELECT * FROM {journal} WHERE position <= {size}",
    "tiles": "SELECT * FROM {tiles} WHERE tile_index < {size}::int8 >> (8 * (level + 1))::int",
    "tree_heads": "SELECT * FROM {tree_heads} WHERE tree_size <= {size}",
    "idempotency_keys": "SELECT * FROM {idempotency_keys}",
    "refusals": "SELECT * FROM {refusals}",
}
_SIZE = "SELECT coalesce(max(tree_size), 0) FROM {tree_heads}"
_PREFIX = "chronicle_drill_"
_OWN_NAME = re.compile(f"({_PREFIX}[0-9a-f]{{8}})(?:_pristine)?")
_SESSIONS = "SELECT application_name FROM pg_stat_activity"
_SESSIONS_OF_COCKROACHDB = "SELECT application_name FROM [SHOW CLUSTER SESSIONS]"


class Scratch:
    """One pristine copy, and a fresh copy of that for each attack."""

    def __init__(self) -> None:
        self._is_cockroachdb = settings.EVENT_STORE_OWNER_URL.startswith(COCKROACHDB_SCHEME)
        self._owner = settings.EVENT_STORE_OWNER_URL.replace(COCKROACHDB_SCHEME, "postgresql://", 1)
        name = f"{_PREFIX}{secrets.token_hex(4)}"
        self._pristine, self._current = f"{name}_pristine", name
        self._original = connections[ALIAS].settings_dict["NAME"]
        # Before there is a database of that name.
        self._sign_of_life = psycopg.connect(self._owner, autocommit=True, application_name=name)

    def drop_leftovers(self) -> None:
        """Drop the copies of drills that are no more."""
        with self._server() as conn:
            # First the databases: whoever made one was there before it.
            found = [name for (name,) in conn.execute("SELECT datname FROM pg_database")]
            sessions = _SESSIONS_OF_COCKROACHDB if self._is_cockroachdb else _SESSIONS
            running = {name for (name,) in conn.execute(sessions)}
        for name in found:
            if (drill := _OWN_NAME.fullmatch(name)) and drill[1] not in running:
                self._drop(name)

    def url(self) -> str:
        """Return the owner's connection string to the current copy."""
        return make_conninfo(self._owner, dbname=self._current)

    def copy(self) -> None:
        """Make the pristine copy, while the ledger runs: in one transaction, or it would be of several moments."""
        self._create(self._pristine)
        source_url, target_url = (make_conninfo(self._owner, dbname=name) for name in (self._original, self._pristine))
        with psycopg.connect(target_url) as target:
            if self._is_cockroachdb:  # one statement reaches every database there
                for table, query in self._queries(target, self._original):
                    target.execute(sql.SQL("INSERT INTO {} {}").format(sql.Identifier(table), query))
                return
            with psycopg.connect(source_url) as source:
                source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                for table, query in self._queries(source):
                    _copy(source, target, table, query)

    def _queries(self, source: psycopg.Connection[Any], *path: str) -> Iterator[tuple[str, sql.Composed]]:
        """Yield what a copy has of each table. `path`: of the database they are in, where it is another."""
        schema = (*path, "public") if path else ()
        names = {table: sql.Identifier(*schema, table) for table in COPIED}
        row = source.execute(sql.SQL(_SIZE).format(**names)).fetchone()
        assert row is not None, "an aggregate always has a row"
        for table, query in COPIED.items():
            yield table, sql.SQL(query).format(size=sql.Literal(row[0]), **names)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the owner's URL of an untouched copy, which this process's event store now is."""
        if self._is_cockroachdb:
            self._current = self._pristine  # no templates there: copy anew
            self._drop(self._pristine)
            self.copy()
        try:
            if not self._is_cockroachdb:
                with self._server() as conn:
                    names = (sql.Identifier(self._current), sql.Identifier(self._pristine))
                    conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
            self._point_to(self._current)
            yield self.url()
        finally:
            self._point_to(self._original)
            if not self._is_cockroachdb:
                self._drop(self._current)

    def drop(self) -> None:
        """Drop every copy there may be: whoever stops a drill may do so while one is being dropped, or just now."""
        try:
            self._drop_all()
        except KeyboardInterrupt:  # which comes once: see chronicle.processes.stoppable
            self._drop_all()
            raise
        finally:
            self._sign_of_life.close()

    def _drop_all(self) -> None:
        for name in (self._current, self._pristine):
            self._drop(name)

    def _create(self, name: str) -> None:
        with self._server() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        scheme = COCKROACHDB_SCHEME if self._is_cockroachdb else "postgresql://"
        url = f"{scheme}{_uri_of(make_conninfo(self._owner, dbname=name))}"
        environment = {**os.environ, "EVENT_STORE_URL": url, "EVENT_STORE_OWNER_URL": url}
        command = [
            sys.executable,
            str(Path(settings.BASE_DIR) / "manage.py"),
            "migrate",
            "--database",
            ALIAS,
            "--no-input",
        ]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def _point_to(self, name: str) -> None:
        connections[ALIAS].close()
        connections[ALIAS].settings_dict["NAME"] = name

    def _drop(self, name: str) -> None:
        # PostgreSQL drops none that somebody is signed in to: the child of a drill that was killed may still be.
        forced = "" if self._is_cockroachdb else " WITH (FORCE)"
        with self._server() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}" + forced).format(sql.Identifier(name)))

    def _server(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._owner, autocommit=True)


def _uri_of(conninfo: str) -> str:
    """Return a connection string as the part of a URL after the scheme; libpq takes everything as parameters."""
    from urllib.parse import urlencode

    return "?" + urlencode(psycopg.conninfo.conninfo_to_dict(conninfo))


def _copy(source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: str, query: sql.Composed) -> None:
    with (
        source.cursor().copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as rows,
        target.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as sink,
    ):
        for row in rows:
            sink.write(row)
