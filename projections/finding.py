"""Finding things by what is known of them: a part of an owner's name or of a description, or an id.

Text is found through the trigram index of `search_entries`; an id, or the beginning of one, through the index
that every table has of its ids. A description leads to the lines that say it, the newest first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections

from ledger.store import history
from projections.search import ACCOUNT as ACCOUNT_ENTRY
from projections.search import DESCRIPTION
from projections.selectors import ALIAS, projections_at, snapshot

ACCOUNT, TRANSACTION, TRANSFER, EVENT = "account", "transaction", "transfer", "event"
KINDS = (ACCOUNT, TRANSACTION, TRANSFER, EVENT)
# A trigram is three characters: with fewer the index would have to be read whole.
TEXT_LENGTH_MIN = 3
# Eight digits tell four billion apart; a shorter beginning of an id is more likely a word.
_UUID_BEGINNING = re.compile(r"[0-9a-f]{8}(-([0-9a-f]{4}-){0,2}[0-9a-f]{0,4}|(-[0-9a-f]{4}){3}-[0-9a-f]{0,12})?", re.I)
_UUID_DIGITS = 32
# Each costs a probe for its newest lines, some 10 µs. Of more, those that came up last are looked at.
DESCRIPTIONS_MAX = 1_000

ACCOUNTS = """
SELECT reference, reference, text, position FROM search_entries
WHERE kind = %(entry)s AND text ILIKE %(pattern)s ORDER BY reference LIMIT %(limit)s
"""
TRANSACTIONS = """
SELECT line.event_id::text, line.account_id, line.description, line.position
FROM (
    SELECT reference FROM search_entries WHERE kind = %(entry)s AND text ILIKE %(pattern)s
    ORDER BY position DESC LIMIT %(descriptions)s
) AS said
CROSS JOIN LATERAL (
    SELECT event_id, account_id, description, position FROM transactions
    WHERE description = said.reference ORDER BY position DESC LIMIT %(limit)s
) AS line
ORDER BY line.position DESC LIMIT %(limit)s
"""
TRANSFERS = """
SELECT transfer_id, from_account_id, kind || ' of ' || from_account_id || ' to ' || to_account_id, position
FROM transfers WHERE transfer_id LIKE %(beginning)s ORDER BY transfer_id LIMIT %(limit)s
"""
EVENTS = """
SELECT event_id::text, account_id, kind || ' ' || description, position
FROM transactions WHERE event_id BETWEEN %(first)s::uuid AND %(last)s::uuid ORDER BY event_id LIMIT %(limit)s
"""


class Hit(NamedTuple):
    """`id`: of the account, the event or the transfer. `account_id`: whose it is. `text`: what says so."""

    kind: str
    id: str
    account_id: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Hits:
    """`has_more`: of some kind there is more than the limit let through."""

    hits: list[Hit]
    has_more: bool
    position: int


def find(text: str, kinds: tuple[str, ...], limit: int) -> Hits:
    """Return up to `limit` hits of each kind, in the order of `kinds`."""
    hits: list[Hit] = []
    has_more = False
    with snapshot("search_entries", "transactions", "transfers"), connections[ALIAS].cursor() as cursor:
        for kind in kinds:
            found = [Hit(kind, *row) for row in _rows(cursor, kind, text, limit + 1)]
            has_more = has_more or len(found) > limit
            hits += found[:limit]
        return Hits(hits, has_more, projections_at("search", "transactions", "transfers"))


def _rows(cursor: Any, kind: str, text: str, limit: int) -> list[tuple[Any, ...]]:
    parameters: dict[str, Any] = {"limit": limit, "descriptions": DESCRIPTIONS_MAX}
    if kind in (ACCOUNT, TRANSACTION):
        entry = ACCOUNT_ENTRY if kind == ACCOUNT else DESCRIPTION
        parameters |= {"entry": entry, "pattern": f"%{_escaped(text)}%"}
        cursor.execute(ACCOUNTS if kind == ACCOUNT else TRANSACTIONS, parameters)
    elif not _UUID_BEGINNING.fullmatch(text):
        return []
    elif kind == TRANSFER:
        cursor.execute(TRANSFERS, {**parameters, "beginning": _escaped(text.lower()) + "%"})
    else:
        digits = text.replace("-", "").lower()
        ends = {name: digits.ljust(_UUID_DIGITS, fill) for name, fill in (("first", "0"), ("last", "f"))}
        cursor.execute(EVENTS, {**parameters, **ends})
        found = list(cursor.fetchall())
        return found or _event_that_moved_nothing(digits)
    return list(cursor.fetchall())


def _event_that_moved_nothing(digits: str) -> list[tuple[Any, ...]]:
    """Return an event that is no line of a statement: the event store knows it by its whole id."""
    found = history.find_event(UUID(digits)) if len(digits) == _UUID_DIGITS else None
    if found is None or found[1] is None:
        return []
    event, position, _ = found
    return [(str(event.event_id), event.aggregate_id, event.event_type, position)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
