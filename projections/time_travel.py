"""Time travel: the whole books as they were, cut by what was recorded, by what counted, by position, or by all.

`recorded_at` asks what was known at an instant, `effective_at` what counted then, and both together what was
known then of what counted before. An answer is final when nothing can be added below the cut any more: a
position the read model has passed always is; an instant is once every command recorded up to it has committed
and is in the read model; `effective_at` alone never is, because a later command may count for an earlier day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connections

from ledger.store.history import backlog
from projections.models import ParkedEvent
from projections.selectors import ALIAS, checkpoint_position, snapshot

PROJECTION = "postings"
# A bound that is not given is the highest there can be, so that one statement serves every cut.
CUT = """
    position <= %(position)s
    AND recorded_at <= coalesce(%(recorded_at)s, 'infinity'::timestamptz)
    AND effective_at <= coalesce(%(effective_at)s, 'infinity'::timestamptz)
"""
TOTALS = f"""
SELECT currency, coalesce(sum(amount_minor) FILTER (WHERE NOT is_external), 0)::text,
       coalesce(sum(amount_minor) FILTER (WHERE is_external), 0)::text, count(*)
FROM postings WHERE {CUT} GROUP BY currency ORDER BY currency
"""  # noqa: S608 (made of constants)
BALANCES = f"""
SELECT account_id, currency, sum(amount_minor)::text FROM postings
WHERE NOT is_external AND (%(account_id)s::text IS NULL OR account_id = %(account_id)s) AND {CUT}
GROUP BY account_id, currency ORDER BY account_id
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
    """One currency: what all accounts hold, and what the outside holds, which is as much less than nothing."""

    currency: str
    accounts_minor: int
    external_minor: int
    postings: int


@dataclass(frozen=True, slots=True)
class Balance:
    account_id: str
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Books:
    """`balances`: of every account that money had moved on. `position`: of the read model when it answered."""

    cut: Cut
    totals: list[Total]
    balances: list[Balance]
    position: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Change:
    account_id: str
    currency: str
    before_minor: int
    after_minor: int


def books(cut: Cut) -> Books:
    """Return the whole books at a cut, in one snapshot. Raises: StoreUnavailable."""
    waiting = backlog()  # first: what is settled by it is in a read model that has reached its head
    with snapshot(), connections[ALIAS].cursor() as cursor:
        reached = checkpoint_position(PROJECTION)
        is_whole = not ParkedEvent.objects.filter(projection=PROJECTION).exists()
        bounds = {
            "position": reached if cut.position is None else min(cut.position, reached),
            "recorded_at": cut.recorded_at, "effective_at": cut.effective_at, "account_id": cut.account_id,
        }  # fmt: skip
        cursor.execute(TOTALS, bounds)
        totals = [Total(currency, int(inside), int(outside), n) for currency, inside, outside, n in cursor.fetchall()]
        cursor.execute(BALANCES, bounds)
        balances = [Balance(account_id, currency, int(minor)) for account_id, currency, minor in cursor.fetchall()]
    has_position = cut.position is not None and cut.position <= reached
    has_instant = (
        cut.recorded_at is not None and waiting.is_settled(cut.recorded_at) and reached >= waiting.head_position
    )
    return Books(cut, totals, balances, reached, is_whole and (has_position or has_instant))


def changes(before: Books, after: Books) -> list[Change]:
    """Return the accounts whose balances differ between two cuts, in the order of their ids."""
    old, new = _by_account(before.balances), _by_account(after.balances)
    return [
        Change(account_id, currency, old.get((account_id, currency), 0), new.get((account_id, currency), 0))
        for account_id, currency in sorted(old.keys() | new.keys())
        if old.get((account_id, currency), 0) != new.get((account_id, currency), 0)
    ]


def at(cut: Cut, recorded_at: datetime) -> Cut:
    """Return the same cut as it was known at another instant."""
    return replace(cut, recorded_at=recorded_at)


def _by_account(balances: Iterable[Balance]) -> dict[tuple[str, str], int]:
    return {(balance.account_id, balance.currency): balance.balance_minor for balance in balances}
