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
from functools import cached_property
from typing import Any, Protocol

import psycopg

from ledger.store.journal import Sequenced
from ledger.subjects.texts import gone_with, open_all, open_data
from projections.erasures import Erasure, erasures
from projections.money import Movement, Posting, movements, postings_of

Cursor = psycopg.Cursor[Any]


class Batch:
    """Whole commands in position order, and what several projections derive from them, derived once.

    Texts come opened, or erased, so no projection knows of keys: `events` with what each of them says, and
    `owner_names` from the states after some; each may raise KeysUnavailable. `recorded` is for those who read no text.
    """

    def __init__(self, events: Sequence[Sequenced]) -> None:
        assert events, "a batch has at least one event"
        self.recorded = events

    @cached_property
    def events(self) -> list[Sequenced]:
        return open_data(self.recorded)

    def open(self) -> None:
        """Open the texts now, wherever that costs nobody time, rather than when they are first read."""
        assert self.events is not None

    def owner_names(self, events: Sequence[Sequenced]) -> list[str]:
        """Return the owner that each of some events left its account with; opened only for those asked for."""
        names = open_all([{"owner_name": s.event.state["owner_name"]} for s in events], gone_with(self.recorded))
        return [name["owner_name"] for name in names]

    @cached_property
    def movements(self) -> list[Movement]:
        """The money that the events moved. Raises: UnknownEventType."""
        return list(movements(self.events))

    @cached_property
    def erasures(self) -> list[Erasure]:
        return list(erasures(self.recorded))

    @cached_property
    def postings(self) -> list[Posting]:
        return list(postings_of(self.movements))


class Apply(Protocol):
    def __call__(self, cursor: Cursor, batch: Batch) -> None: ...


@dataclass(frozen=True, slots=True)
class Projection:
    """`version` counts changes that make rows built before wrong: a new one asks for a rebuild."""

    name: str
    version: int
    tables: tuple[str, ...]
    apply: Apply


def registry() -> tuple[Projection, ...]:
    """Return every projection, in the order in which they are applied."""
    from projections import (
        accounts,
        activity,
        daily_balances,
        postings,
        search,
        transactions,
        transfers,
        trial_balance,
    )

    modules = (accounts, transactions, transfers, postings, trial_balance, daily_balances, activity, search)
    return tuple(module.PROJECTION for module in modules)


def by_name(name: str) -> Projection:
    """Return the projection of a name. Raises: LookupError, which names those there are."""
    projections = {projection.name: projection for projection in registry()}
    if name not in projections:
        raise LookupError(f"there is no projection {name!r}; there are {', '.join(projections)}")
    return projections[name]


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Turn rows into the arrays, one per column, that `unnest` takes; at least one row."""
    return [list(column) for column in zip(*rows, strict=True)]
