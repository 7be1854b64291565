"""Time travel: the whole books as they were, cut by what was recorded, by what counted, by position, or by all.

`recorded_at` asks what was known at an instant, `effective_at` what counted then, and both together what was
known then of what counted before. A cut by position in the middle of a command is one before that command: a
transfer is never half visible. An answer is final when nothing can be added below the cut any more: a
position the read model has passed always is; an instant is once every command recorded up to it has committed
and is in the read model; `effective_at` alone never is, because a later command may count for an earlier day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections

from ledger.store.history import backlog
from projections import source
from projections.selectors import ALIAS, checkpoint_position, snapshot, taken_in

PROJECTION = "postings"
# One statement serves every cut. A bound that is not given is a condition that a planner leaves out, where comparing
# each posting with the end of all time would cost as much as one that is. A position is one of postings by their key,
# which is twice it, plus one: an early one reads what is below it, where `position` has no index to say so.
_CUT = """
    posting_id <= 2 * %({0}position)s::bigint + 1
    AND (%({0}recorded_at)s::timestamptz IS NULL OR recorded_at <= %({0}recorded_at)s)
    AND (%({0}effective_at)s::timestamptz IS NULL OR effective_at <= %({0}effective_at)s)
"""
_TOTAL = """
    coalesce(sum({0}_minor) FILTER (WHERE NOT is_external), 0)::text,
    coalesce(sum({0}_minor) FILTER (WHERE is_external), 0)::text,
    sum({0}_postings)::bigint, count(*) FILTER (WHERE NOT is_external AND {0}_postings > 0)
"""
# The postings are added up once; the totals and the page of balances are both made of those sums.
BOOKS = f"""
WITH sums AS MATERIALIZED (
    SELECT account_id, currency, is_external, sum(amount_minor) AS minor, count(*) AS postings
    FROM postings WHERE {_CUT.format("")} GROUP BY account_id, currency, is_external
), page AS (
    SELECT account_id, currency, minor FROM sums
    WHERE NOT is_external AND (%(account_id)s::text IS NULL OR account_id = %(account_id)s)
      AND (%(after)s::text IS NULL OR account_id > %(after)s)
    ORDER BY account_id LIMIT %(limit)s
)
SELECT NULL, currency, coalesce(sum(minor) FILTER (WHERE NOT is_external), 0)::text,
       coalesce(sum(minor) FILTER (WHERE is_external), 0)::text, sum(postings)::bigint,
       count(*) FILTER (WHERE NOT is_external)
FROM sums GROUP BY currency
UNION ALL
SELECT account_id, currency, minor::text, NULL, NULL, NULL FROM page
ORDER BY 1, 2
"""  # noqa: S608 (made of constants)
# Two cuts in one pass. Grouping by which of them a posting is in, to sum each part once, makes twice as many groups of
# longer keys: a third slower over a million postings.
DIFFERENCE = f"""
WITH sums AS MATERIALIZED (
    SELECT account_id, currency, is_external,
           coalesce(sum(amount_minor) FILTER (WHERE {_CUT.format("before_")}), 0) AS before_minor,
           coalesce(sum(amount_minor) FILTER (WHERE {_CUT.format("after_")}), 0) AS after_minor,
           count(*) FILTER (WHERE {_CUT.format("before_")}) AS before_postings,
           count(*) FILTER (WHERE {_CUT.format("after_")}) AS after_postings
    FROM postings
    WHERE posting_id <= 2 * greatest(%(before_position)s, %(after_position)s)::bigint + 1
      AND (%(before_account_id)s::text IS NULL OR account_id = %(before_account_id)s)
    GROUP BY account_id, currency, is_external
), changed AS MATERIALIZED (
    SELECT account_id, currency, before_minor, after_minor FROM sums
    WHERE NOT is_external AND before_minor <> after_minor
), page AS (
    SELECT * FROM changed WHERE %(page_after)s::text IS NULL OR account_id > %(page_after)s
    ORDER BY account_id, currency LIMIT %(limit)s
)
SELECT NULL, currency, {_TOTAL.format("before")}, {_TOTAL.format("after")} FROM sums GROUP BY currency
UNION ALL
SELECT account_id, currency, before_minor::text, NULL, NULL, NULL, after_minor::text, NULL, NULL, NULL FROM page
UNION ALL
SELECT NULL, NULL, NULL, NULL, count(*), NULL, NULL, NULL, NULL, NULL FROM changed
ORDER BY 1, 2
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Cut:
    """What is in: everything at or below every bound that is given. `account_id`: only this one's balance."""

    recorded_at: datetime | None = None
    effective_at: datetime | None = None
    position: int | None = None
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """One currency: what all accounts hold, and what the outside holds, which is as much less than nothing.

    `accounts`: how many money had moved on.
    """

    currency: str
    accounts_minor: int
    external_minor: int
    postings: int
    accounts: int


@dataclass(frozen=True, slots=True)
class Balance:
    account_id: str
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Books:
    """`balances`: of every account that money had moved on, or a page of them; the totals are always of all.

    `position`: up to which nothing was missing from the read model. `at_position`: the highest that is in.
    """

    cut: Cut
    totals: list[Total]
    balances: list[Balance]
    position: int
    at_position: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Change:
    account_id: str
    currency: str
    before_minor: int
    after_minor: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between two cuts. `total`: how many accounts differ, of which `changes` may be a page.

    `before`, `after`: the books at each without their balances; of a cut of one account, what is that one's.
    """

    changes: list[Change]
    total: int
    before: Books
    after: Books

    @property
    def position(self) -> int:
        return self.before.position

    @property
    def is_final(self) -> bool:
        return self.before.is_final and self.after.is_final


def books(cut: Cut, after: str | None = None, limit: int | None = None) -> Books:
    """Return the books at a cut, in one snapshot. `after`, `limit`: of the balances, in the order of their ids.

    **Raises** StoreUnavailable.
    """
    with _reading(cut) as ((standing,), cursor):
        cursor.execute(BOOKS, {**standing.bounds(), "after": after, "limit": limit})
        rows = cursor.fetchall()
    totals = [_total(row[1], row[2:]) for row in rows if row[0] is None]
    return standing.books(totals, [Balance(row[0], row[1], int(row[2])) for row in rows if row[0] is not None])


def difference(before: Cut, after: Cut, page_after: str | None = None, limit: int | None = None) -> Difference:
    """Return the accounts whose balances differ between two cuts, both read in one snapshot.

    **Raises** StoreUnavailable.
    """
    with _reading(before, after) as ((old, new), cursor):
        bounds = {**old.bounds("before_"), **new.bounds("after_")}
        cursor.execute(DIFFERENCE, {**bounds, "page_after": page_after, "limit": limit})
        rows = cursor.fetchall()
    found = [Change(row[0], row[1], int(row[2]), int(row[6])) for row in rows if row[0] is not None]
    (total,) = [row[4] for row in rows if row[1] is None]
    sums = [row for row in rows if row[0] is None and row[1] is not None]
    one, other = ([_total(row[1], row[at : at + 4]) for row in sums if row[at + 2]] for at in (2, 6))
    return Difference(found, total, old.books(one), new.books(other))


def _total(currency: str, sums: Sequence[Any]) -> Total:
    accounts_minor, external_minor, postings, accounts = sums
    return Total(currency, int(accounts_minor), int(external_minor), postings, accounts)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A cut against what the read model has applied."""

    cut: Cut
    complete_to: int
    at_position: int
    is_final: bool

    def bounds(self, prefix: str = "") -> dict[str, Any]:
        cut = self.cut
        bounds = {
            "position": self.at_position, "recorded_at": cut.recorded_at, "effective_at": cut.effective_at,
            "account_id": cut.account_id,
        }  # fmt: skip
        return {prefix + name: value for name, value in bounds.items()}

    def books(self, totals: list[Total], balances: Sequence[Balance] = ()) -> Books:
        return Books(self.cut, totals, list(balances), self.complete_to, self.at_position, self.is_final)


@contextmanager
def _reading(*cuts: Cut) -> Iterator[tuple[list[_Standing], Any]]:
    """Yield where each cut stands, and a cursor in the snapshot for which that is true."""
    waiting = backlog()  # first: what is settled by it is in a read model that has reached its head
    ends = [_last_of_a_command(cut.position) for cut in cuts]
    with snapshot("postings"), connections[ALIAS].cursor() as cursor:
        reached = checkpoint_position(PROJECTION)
        complete_to = taken_in(PROJECTION)
        has_head = complete_to >= waiting.head_position
        standings = []
        for cut, end in zip(cuts, ends, strict=True):
            has_position = cut.position is not None and cut.position <= complete_to
            has_instant = cut.recorded_at is not None and waiting.is_settled(cut.recorded_at) and has_head
            at_position = reached if end is None else min(end, reached)
            standings.append(_Standing(cut, complete_to, at_position, has_position or has_instant))
        yield standings, cursor


def _last_of_a_command(position: int | None) -> int | None:
    """Return the last position at or before one where a command ends: books in the middle of one do not balance."""
    sequenced = None if position is None or position < 1 else source.read_at(position)
    if sequenced is None or sequenced.command_index + 1 == sequenced.command_size:
        return position
    return sequenced.position - sequenced.command_index - 1
