"""A second set of a projection's tables beside the live ones: in a schema of its own, under the same names.

The projection's own statements name tables without a schema, so a connection whose search_path begins with the
shadow's schema builds there with the same code; its checkpoint and its parked events are there too. Tables
move between schemas by ALTER TABLE … SET SCHEMA, which renames and copies nothing, indexes included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

from django.apps import apps
from django.db import connections
from django.db.models import Model
from psycopg import sql

from projections.connection import ALIAS, Connection
from projections.projection import Projection

LIVE = "public"
# What belongs to a set of tables and moves with it, row by row. A parked event gets a new id where it goes.
KEPT_BESIDE: dict[str, LiteralString] = {
    "checkpoints": "projection, version, position, running_hash, lag_ms, lag_p50_ms, lag_p95_ms, lag_p99_ms, alarm, "
    "revision, updated_at",
    "parked_events": "projection, position, event_id, aggregate_id, event_type, command_id, is_cause, reason, "
    "attempts, parked_at",
}


@dataclass(frozen=True, slots=True)
class Shadow:
    """`schema`: where the second set is. `building` and `previous` are the two a projection can have."""

    projection: Projection
    schema: str

    @classmethod
    def building(cls, projection: Projection) -> Shadow:
        return cls(projection, f"rebuild_{projection.name}")

    @classmethod
    def previous(cls, projection: Projection) -> Shadow:
        return cls(projection, f"previous_{projection.name}")

    def exists(self, connection: Connection) -> bool:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,)).fetchone()
        return found is not None

    def create(self, connection: Connection) -> None:
        """Make the schema and its tables, without the indexes that are cheaper to make at the end."""
        with connection.transaction():
            connection.execute(self._sql("CREATE SCHEMA {}"))
            self.create_bookkeeping(connection)
            self.enter(connection)
            for statement in _statements(self.projection):
                if not statement.startswith("CREATE INDEX"):
                    connection.execute(statement.encode())

    def create_bookkeeping(self, connection: Connection) -> None:
        """Make the tables for the checkpoint and the parked events."""
        for table in KEPT_BESIDE:
            connection.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(self.schema, table), sql.Identifier(LIVE, table)
                )
            )

    def create_indexes(self, connection: Connection) -> None:
        """Make those that `create` left out. May be called again."""
        for statement in _statements(self.projection):
            if statement.startswith("CREATE INDEX"):
                connection.execute(statement.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS", 1).encode())

    def drop(self, connection: Connection) -> None:
        connection.execute(self._sql("DROP SCHEMA IF EXISTS {} CASCADE"))

    def enter(self, connection: Connection) -> None:
        """Let the connection's statements mean this set from here on."""
        connection.execute(
            sql.SQL("SET search_path TO {}, {}").format(sql.Identifier(self.schema), sql.Identifier(LIVE))
        )

    def rename(self, connection: Connection, other: Shadow) -> None:
        connection.execute(
            sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(self.schema), sql.Identifier(other.schema))
        )

    def keep_writers_out(self, connection: Connection) -> None:
        """Within a transaction: wait for whoever changes rows, and let readers go on."""
        for table in self.projection.tables:
            connection.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(self.table(table)))

    def move(self, connection: Connection, table: str, *, to: str) -> None:
        """Move one of the tables from this schema into another."""
        connection.execute(
            sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(sql.Identifier(self.schema, table), sql.Identifier(to))
        )

    def table(self, name: str) -> sql.Composable:
        return sql.Identifier(self.schema, name)

    def _sql(self, statement: str) -> sql.Composed:
        return sql.SQL(statement).format(sql.Identifier(self.schema))


def models_of(projection: Projection) -> Iterator[type[Model]]:
    """Yield the model of each of a projection's tables."""
    by_table = {model._meta.db_table: model for model in apps.get_app_config("projections").get_models()}
    return (by_table[table] for table in projection.tables)


def _statements(projection: Projection) -> list[str]:
    """Return the statements that make the projection's tables, as a migration would, with the same names."""
    with connections[ALIAS].schema_editor(collect_sql=True, atomic=False) as editor:
        for model in models_of(projection):
            editor.create_model(model)
        editor.collected_sql.extend(str(statement) for statement in editor.deferred_sql)
        editor.deferred_sql.clear()
    return [statement.strip() for statement in editor.collected_sql if not statement.startswith("--")]
