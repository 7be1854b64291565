"""Differences between a rebuilt set of tables and the live one, at the same position: counted, and the first named."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from django.db.models import Model
from psycopg import sql

from projections import level
from projections.checkpoints import Checkpoint
from projections.connection import Connection
from projections.shadow import LIVE, Shadow, models_of

EXAMPLES_MAX = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """One table. A row that changed counts on both sides. False when there is no difference."""

    table: str
    only_live: int
    only_rebuilt: int
    examples: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.only_live or self.only_rebuilt)

    def __str__(self) -> str:
        named = "".join(f"\n  {example}" for example in self.examples)
        return f"{self.table}: {self.only_live} rows only live, {self.only_rebuilt} only rebuilt{named}"


@dataclass(frozen=True, slots=True)
class Compared:
    """`revision`: of the live rows that were compared; it rises when anyone but the projector changes them."""

    differences: list[Difference]
    revision: int | None


def compared(connection: Connection, shadow: Shadow, checkpoint: Checkpoint) -> Compared:
    """Compare the two sets where both stand at one position, while the projector goes on.

    **Why** somebody else holds the live checkpoint: what brings the set level has to be committed before the snapshot
    is taken, and the counting, which takes minutes on millions of rows, is nothing that anybody should wait for.
    """
    level.come_near(connection, checkpoint)
    with ExitStack() as until_snapshot:
        until_snapshot.enter_context(level.held(shadow.projection))
        level.come_level(connection, checkpoint)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            revision = level.live_revision(connection, shadow.projection)  # the first query takes the snapshot
            until_snapshot.close()
            return Compared(differences(connection, shadow), revision)


def differences(connection: Connection, rebuilt: Shadow) -> list[Difference]:
    """Compare every table of the projection. In a snapshot in which both sets stand at one position."""
    return [_difference(connection, rebuilt, model) for model in models_of(rebuilt.projection)]


def _difference(connection: Connection, rebuilt: Shadow, model: type[Model]) -> Difference:
    # By name: a column that a migration added is the last of the live table, wherever the model has it.
    columns = sql.SQL(", ").join(sql.Identifier(field.column) for field in model._meta.concrete_fields if field.column)
    name = model._meta.db_table
    live = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(LIVE, name))
    new = sql.SQL("SELECT {} FROM {}").format(columns, rebuilt.table(name))
    only_live, lost = _minus(connection, live, new)
    only_rebuilt, gained = _minus(connection, new, live)
    examples = [f"live    {row}" for row in lost] + [f"rebuilt {row}" for row in gained]
    return Difference(name, only_live, only_rebuilt, tuple(examples))


def _minus(connection: Connection, left: sql.Composed, right: sql.Composed) -> tuple[int, list[str]]:
    query = sql.SQL(
        "WITH unmatched AS ({} EXCEPT ALL {}) "
        "SELECT (SELECT count(*) FROM unmatched), "
        "ARRAY(SELECT unmatched::text FROM unmatched ORDER BY unmatched::text LIMIT {})"
    ).format(left, right, sql.Literal(EXAMPLES_MAX))
    row = connection.execute(query).fetchone()
    assert row is not None, "a count has a row"
    return row[0], row[1]
