"""Differences between a rebuilt set of tables and the live one, at the same position: counted, and the first named."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Model
from psycopg import sql

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


def differences(connection: Connection, rebuilt: Shadow) -> list[Difference]:
    """Compare every table of the projection. Hold the live checkpoint, or the two will not stand together."""
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
