"""A difference between what folding the events gives and what the read model holds, named by table, key and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]  # by column


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `expected`: what folding the events gives; `found`: what the read model holds."""

    projection: str
    key: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.projection}: {self.key}: expected {_said(self.expected)}, found {_said(self.found)}"


def compare(projection: str, what: str, expected: Mapping[Any, Row], found: Mapping[Any, Row]) -> Iterator[Finding]:
    """Yield a finding for each row that only one side has, or of which a column that is expected differs."""
    for key in sorted(expected.keys() | found.keys(), key=str):
        wanted, row = expected.get(key), found.get(key)
        if wanted is None or row is None:
            yield Finding(projection, f"{what} {key}", wanted, row)
        elif columns := [column for column in wanted if row[column] != wanted[column]]:
            yield Finding(
                projection, f"{what} {key}", {c: wanted[c] for c in columns}, {c: row[c] for c in columns}
            )  # fmt: skip


def rows_of(cursor: Any, query: str, parameters: Any = None) -> list[dict[str, Any]]:
    """Return what a query finds, each row by column; numerics, which are whole here, as integers."""
    cursor.execute(query, parameters)
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _said(side: Any) -> str:
    if side is None:
        return "no row"
    return ", ".join(f"{name} {value}" for name, value in side.items()) if isinstance(side, Mapping) else str(side)
