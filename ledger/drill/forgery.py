"""What an attacker with the owner's rights can do to an event store, done well: hashes, chain and tree made right.

Used on scratch copies by `tamper_drill`, and by the tests, to show that verification does not rest on the
attacker being careless. Never on the store that the application uses: it signs in as the owner by URL.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
import psycopg
from psycopg.crdb import CrdbConnection, CrdbConnectionInfo
from psycopg.sql import SQL, Identifier
from psycopg.types.json import set_json_loads

from ledger.checks import APPEND_ONLY_TABLES
from ledger.store import sql
from ledger.store.hashing import NO_HASH, extend_running_hash
from ledger.store.recorded import RecordedEvent, event_id_of, sealed
from ledger.store.signed_note import Signer
from ledger.store.tiles import TILE_HEIGHT, Frontier
from ledger.store.tree_head_note import TreeHead

TILE_LEVELS = 8  # of a journal of 2^63 positions
_OF_ACCOUNT = f"SELECT {sql.EVENT_COLUMNS} FROM events AS e WHERE e.aggregate_id = %s ORDER BY e.version"
_UPDATE = "UPDATE events SET previous_hash = %s, hash = %s WHERE aggregate_id = %s AND version = %s"


COCKROACHDB_WITH_TRIGGERS = 24_03_00  # as psycopg counts versions; ledger.migrations.0004_append_only_triggers


def has_row_triggers(conn: psycopg.Connection[Any]) -> bool:
    """Return whether the server has triggers that fire for a row."""
    return not CrdbConnection.is_crdb(conn) or (
        CrdbConnectionInfo(conn.pgconn).server_version >= COCKROACHDB_WITH_TRIGGERS
    )


def go_past_triggers(conn: psycopg.Connection[Any]) -> None:
    """Let a superuser's connection, which has done nothing yet, change history.

    PostgreSQL's triggers are off for this session. CockroachDB's cannot be switched off: they are dropped.
    """
    if not CrdbConnection.is_crdb(conn):
        conn.execute("SET session_replication_role = replica")
        return
    if not has_row_triggers(conn):
        return
    was_autocommit, conn.autocommit = conn.autocommit, True  # each is a change of the schema, to be finished by itself
    for table in APPEND_ONLY_TABLES:
        name = SQL("DROP TRIGGER IF EXISTS {} ON {}")
        conn.execute(name.format(Identifier(f"{table}_append_only"), Identifier(table)))
    conn.autocommit = was_autocommit


class NothingToAttack(Exception):
    """The history has nothing that the attack could be made on."""


class Forgery:
    """Tampers through connections of the owner's that go past the triggers."""

    def __init__(self, owner_url: str) -> None:
        self._url = owner_url

    def _connect(self) -> psycopg.Connection[Any]:
        conn = psycopg.connect(self._url)
        go_past_triggers(conn)
        set_json_loads(orjson.loads, conn)
        conn.execute("SET TIME ZONE 'UTC'")
        return conn

    def execute(self, statement: str, *parameters: Any) -> int:
        with self._connect() as conn:
            return conn.execute(statement, parameters).rowcount

    def one(self, query: str, *parameters: Any) -> tuple[Any, ...]:
        """Return the one row of a query. Raises: NothingToAttack."""
        with self._connect() as conn:
            row = conn.execute(query, parameters).fetchone()
        if row is None:
            raise NothingToAttack("there is no deposit to attack, or none that is the last event of its account")
        return row

    def command_end(self, position: int) -> int:
        """Return the last position of a command, at this one or before."""
        query = "SELECT max(position) FROM journal WHERE position <= %s AND command_index + 1 = command_size"
        return int(self.one(query, position)[0])

    def rehash_from(self, account_id: str, version: int) -> None:
        """Make an altered event's hash right, and every hash that follows from it up to the journal's end."""
        with self._connect() as conn:
            events = [RecordedEvent(*row) for row in conn.execute(_OF_ACCOUNT, (account_id,))]
            previous = events[version - 2].hash if version > 1 else NO_HASH
            for event in events[version - 1 :]:
                made = sealed(event._replace(previous_hash=previous))
                conn.execute(_UPDATE, (made.previous_hash, made.hash, account_id, made.version))
                conn.execute(
                    "UPDATE journal SET event_hash = %s WHERE aggregate_id = %s AND version = %s",
                    (made.hash, account_id, made.version),
                )
                previous = made.hash
            self._rechain(conn)

    def _rechain(self, conn: psycopg.Connection[Any]) -> None:
        running = NO_HASH
        rows = conn.execute("SELECT position, event_hash, running_hash FROM journal ORDER BY position").fetchall()
        for position, event_hash, stored in rows:
            running = extend_running_hash(running, event_hash)
            if running != stored:
                conn.execute("UPDATE journal SET running_hash = %s WHERE position = %s", (running, position))

    def cut_tree(self, size: int) -> None:
        """Remove tiles and heads that say that the journal was longer."""
        with self._connect() as conn:
            conn.execute("DELETE FROM tree_heads WHERE tree_size > %s", (size,))
            for level in range(TILE_LEVELS):
                full = size >> (TILE_HEIGHT * (level + 1))
                conn.execute("DELETE FROM tiles WHERE level = %s AND tile_index >= %s", (level, full))

    def resign(self, signer: Signer, altered: int = 1, signs_from: int = 0) -> None:
        """Build the tree anew over what the journal now holds, and sign again the sizes that reach an altered position.

        `signs_from`: the smallest tree that the key signs. Smaller ones were another key's, which is gone: their heads
        are taken away, because a head that is missing between two others leaves no trace.
        """
        with self._connect() as conn:
            leaves = [row[0] for row in conn.execute("SELECT event_hash FROM journal ORDER BY position")]
            reach = "FROM tree_heads WHERE tree_size >= %s"
            sizes = [row[0] for row in conn.execute(f"SELECT tree_size {reach} ORDER BY tree_size", (altered,))]
            conn.execute("DELETE FROM tiles")
            conn.execute(f"DELETE {reach}", (altered,))
            frontier = Frontier()
            for size in [s for s in sizes if signs_from <= s <= len(leaves)] or [len(leaves)]:
                for tile in frontier.append(leaves[frontier.size : size]):
                    columns = [[tile.level], [tile.index], [tile.hashes], [tile.root]]
                    conn.execute(sql.INSERT_TILES, columns)
                note = signer.sign(TreeHead(signer.name, size, frontier.root()).text)
                conn.execute(sql.INSERT_TREE_HEAD, (size, note))

    def slip_in_deposit(self, account_id: str, amount_minor: int) -> int:
        """Insert an event with a right hash and a right link that no command led to; return its version."""
        with self._connect() as conn:
            last = [RecordedEvent(*row) for row in conn.execute(_OF_ACCOUNT, (account_id,))][-1]
            command_id = uuid4()
            currency = last.state["currency"]
            forged = sealed(
                last._replace(
                    event_id=event_id_of(command_id, 0),
                    version=last.version + 1,
                    event_type="MoneyDeposited",
                    data={"amount_minor": amount_minor, "currency": currency, "counter_account": f"external:{currency}",
                          "description": "", "transfer_id": None},
                    metadata={**last.metadata, "command_id": str(command_id), "command_index": 0, "command_size": 1,
                              "command_type": "deposit"},
                    state={**last.state, "balance_minor": last.state["balance_minor"] + amount_minor},
                    recorded_at=conn.execute("SELECT clock_timestamp()").fetchone()[0],  # type: ignore[index]
                    previous_hash=last.hash,
                )
            )  # fmt: skip
            columns = [[orjson.dumps(v).decode() if isinstance(v, dict) else v] for v in forged]
            conn.execute(sql.INSERT_EVENTS, columns)
            return forged.version
