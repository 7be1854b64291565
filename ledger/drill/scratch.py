"""A scratch copy of the event store for each attack, on the same server, dropped afterwards.

The original is only read. Settings of this process point to the copy while the drill looks for what it did.
"""

from __future__ import annotations

import os
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

TABLES = ("events", "journal", "outbox", "tiles", "tree_heads", "idempotency_keys", "refusals")


class Scratch:
    """One pristine copy, and a fresh copy of that for each attack."""

    def __init__(self) -> None:
        self._is_cockroachdb = settings.EVENT_STORE_OWNER_URL.startswith(COCKROACHDB_SCHEME)
        self._owner = settings.EVENT_STORE_OWNER_URL.replace(COCKROACHDB_SCHEME, "postgresql://", 1)
        name = f"chronicle_drill_{secrets.token_hex(4)}"
        self._pristine, self._current = f"{name}_pristine", name
        self._original = connections[ALIAS].settings_dict["NAME"]

    def url(self) -> str:
        """Return the owner's connection string to the current copy."""
        return make_conninfo(self._owner, dbname=self._current)

    def copy(self) -> None:
        """Make the pristine copy, while the ledger runs: in one transaction, or it would be of several moments."""
        self._create(self._pristine)
        source_url, target_url = (make_conninfo(self._owner, dbname=name) for name in (self._original, self._pristine))
        with psycopg.connect(target_url) as target:
            if self._is_cockroachdb:  # one statement reaches every database there
                for table in TABLES:
                    names = sql.Identifier(table), sql.Identifier(self._original, "public", table)
                    target.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(*names))
                return
            with psycopg.connect(source_url) as source:
                source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                for table in TABLES:
                    _copy(source, target, table)

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Yield the owner's URL of an untouched copy, which this process's event store now is."""
        if self._is_cockroachdb:
            self._current = self._pristine  # no templates there: copy anew
            self._drop(self._pristine)
            self.copy()
        else:
            with self._server() as conn:
                names = (sql.Identifier(self._current), sql.Identifier(self._pristine))
                conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        try:
            self._point_to(self._current)
            yield self.url()
        finally:
            self._point_to(self._original)
            if not self._is_cockroachdb:
                self._drop(self._current)

    def drop(self) -> None:
        self._drop(self._pristine)

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
        with self._server() as conn:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

    def _server(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._owner, autocommit=True)


def _uri_of(conninfo: str) -> str:
    """Return a connection string as the part of a URL after the scheme; libpq takes everything as parameters."""
    from urllib.parse import urlencode

    return "?" + urlencode(psycopg.conninfo.conninfo_to_dict(conninfo))


def _copy(source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: str) -> None:
    name = sql.Identifier(table)
    with (
        source.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(name)) as rows,
        target.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(name)) as sink,
    ):
        for row in rows:
            sink.write(row)
