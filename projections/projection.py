"""What a projection is, and which there are.

A projection turns a batch of events, whole commands in position order, into a constant number of set-based
statements on its own tables. It is given a cursor inside the transaction that also moves its checkpoint, so
rows and checkpoint can never disagree; it reads nothing but events and its own tables. Commands that share no
aggregate may reach it in another order than the journal's, when one was parked: sums add up in any order, and
"the latest" means the highest version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from ledger.store.journal import Sequenced

Cursor = psycopg.Cursor[Any]


class Apply(Protocol):
    def __call__(self, cursor: Cursor, events: Sequence[Sequenced]) -> None: ...


@dataclass(frozen=True, slots=True)
class Projection:
    """`version` counts changes that make rows built before wrong: a new one asks for a rebuild."""

    name: str
    version: int
    tables: tuple[str, ...]
    apply: Apply


def registry() -> tuple[Projection, ...]:
    """Return every projection, in the order in which they are applied."""
    from projections import accounts, transactions, transfers

    return (accounts.PROJECTION, transactions.PROJECTION, transfers.PROJECTION)


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Turn rows into the arrays, one per column, that `unnest` takes; at least one row."""
    return [list(column) for column in zip(*rows, strict=True)]
