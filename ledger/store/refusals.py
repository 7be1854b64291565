"""Reads of refused commands, newest first: who asked for what, and why it was refused.

Every filter has an index that ends in the order of the page, but for the account: a command names its accounts
under several names, and an inverted index finds them under each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from ledger.store import sql
from ledger.store.connection import connection, translated

# The fields in which commands name accounts, five as in sql.REFUSED_WHERE.
_ACCOUNT_FIELDS = ("account_id", "from_account_id", "to_account_id")
_LEGS_FIELDS = ("sources", "targets")


class Refusal(NamedTuple):
    """`command`: its fields, amounts as decimal strings. `recorded_at`: the store's clock; None until it is written."""

    refusal_id: UUID
    command_id: UUID
    command_type: str
    command: dict[str, Any]
    actor: str
    code: str
    detail: str
    recorded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """None lets everything through. `account_id`: in whatever part the command names it."""

    actor: str | None = None
    code: str | None = None
    account_id: str | None = None

    def conditions(self) -> tuple[str, ...]:
        given = {"actor": self.actor, "code": self.code, "account_id": self.account_id}
        return tuple(sql.REFUSED_WHERE[name] for name, value in given.items() if value is not None)

    def parameters(self) -> dict[str, Any]:
        id_ = self.account_id
        legs = [{"account_id": id_}]
        ways = (
            {"account_id": id_},
            {"from_account_id": id_},
            {"to_account_id": id_},
            {"sources": legs},
            {"targets": legs},
        )
        named = {f"named_{number}": orjson.dumps(way).decode() for number, way in enumerate(ways)}
        return {"actor": self.actor, "code": self.code, **named}


def recorded_at(refusal_id: UUID) -> datetime | None:
    """Return when a refusal was recorded; None when there is none of that id."""
    with connection() as conn, translated():
        row = conn.execute(sql.REFUSED_AT, (refusal_id,)).fetchone()
    return row[0] if row else None


def newest(limit: int, before: tuple[datetime, UUID] | None, filters: Filters) -> list[Refusal]:
    """Return up to `limit` refusals, newest first, from the one before the place `before` on."""
    where = filters.conditions() if before is None else (*filters.conditions(), sql.REFUSED_BEFORE)
    place = {} if before is None else {"before_at": before[0], "before_id": before[1]}
    with connection() as conn, translated():
        rows = conn.execute(sql.read_refusals(*where), {**filters.parameters(), **place, "limit": limit}).fetchall()
    return [Refusal(*row) for row in rows]


def count(filters: Filters) -> int:
    with connection() as conn, translated():
        row = conn.execute(sql.count_refusals(*filters.conditions()), filters.parameters()).fetchone()
    assert row is not None, "a count has a row"
    return int(row[0])
