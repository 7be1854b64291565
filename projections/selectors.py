"""What others may ask the read model: the API, the portal and the commands that read.

Every answer carries the position it is true for, read in the same snapshot as the rows, so that no answer
mixes two states of the books.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db import connections, transaction
from django.db.models import F, Q, QuerySet, Subquery
from django.db.models.functions import Least

from ledger.domain.events import TECHNICAL_PREFIXES
from projections.models import Account, Checkpoint, ParkedEvent, Transaction, Transfer
from projections.transfers import HELD

ALIAS = "read_model"
Row = TypeVar("Row")

# One line per money event: what entered or left through the outside, the exchange desk included, is what has no
# account on its other side. The two sides are added up independently of each other, so that their sum says something.
TRIAL_BALANCE = """
SELECT currency, count(DISTINCT account_id), coalesce(sum(amount_minor), 0)::text,
       (-coalesce(sum(amount_minor) FILTER (WHERE counter_account LIKE ANY(%(outside)s)), 0))::text
FROM transactions WHERE %(as_of)s::timestamptz IS NULL OR recorded_at <= %(as_of)s
GROUP BY currency ORDER BY currency
"""
_OUTSIDE = [f"{prefix}%" for prefix in TECHNICAL_PREFIXES]


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """`total`: how many rows the filters let through."""

    rows: list[Row]
    total: int
    position: int


@dataclass(frozen=True, slots=True)
class Found(Generic[Row]):
    row: Row | None
    position: int


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """One currency: what all accounts hold, and what the outside holds, which is as much less than nothing."""

    currency: str
    accounts: int
    accounts_minor: int
    external_minor: int

    @property
    def difference_minor(self) -> int:
        return self.accounts_minor + self.external_minor


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """`position`: up to which nothing is missing."""

    lines: list[TrialBalanceLine]
    position: int


@contextmanager
def snapshot(*tables: str) -> Iterator[None]:
    """Let several queries see one state of the read model. Name every table of a projection that they read.

    **Why** the tables are locked before the snapshot is taken: a rebuilt set that went live in between would be
    read as it was before its last rows were committed. The lock is the one every query takes; it keeps nobody
    but the switch out.
    """
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        lock = f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE" if tables else ""
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; {lock}")
        yield


def checkpoint_position(projection: str) -> int:
    """Return the last position a projection has applied; 0 before its first."""
    return Checkpoint.objects.filter(projection=projection).values_list("position", flat=True).first() or 0


def taken_in(projection: str, account_id: str | None = None) -> int:
    """Return the position up to which nothing is missing from a projection, or from what it has of one account.

    What is parked has been passed by the checkpoint, and is not in the rows.
    """
    parked = ParkedEvent.objects.filter(projection=projection)
    if account_id is not None:
        parked = parked.filter(aggregate_id=account_id)
    first = Subquery(parked.order_by("position").values("position")[:1])
    # Of nothing and something, PostgreSQL's LEAST is the something.
    found = Checkpoint.objects.filter(projection=projection).annotate(taken_in=Least(F("position"), first - 1))
    return found.values_list("taken_in", flat=True).first() or 0


def checkpoints() -> list[Checkpoint]:
    return list(Checkpoint.objects.order_by("projection"))


def projections_at(*names: str) -> int:
    """Return the position that all of these projections have applied."""
    positions = dict(Checkpoint.objects.filter(projection__in=names).values_list("projection", "position"))
    return min(positions.get(name, 0) for name in names)


def account(account_id: str) -> Found[Account]:
    with snapshot("accounts"):
        return Found(Account.objects.filter(account_id=account_id).first(), taken_in("accounts", account_id))


def accounts(limit: int, after: str | None, **filters: str | None) -> Page[Account]:
    """Return accounts in the order of their ids. Filters: `search` (id or owner), `currency`, `status`."""
    found = Account.objects.all()
    if search := filters.get("search"):
        found = found.filter(Q(account_id__icontains=search) | Q(owner_name__icontains=search))
    for name in ("currency", "status"):
        if filters.get(name):
            found = found.filter(**{name: filters[name]})
    page = found.order_by("account_id")
    return _page(found, page.filter(account_id__gt=after) if after else page, limit, "accounts")


def transactions(account_id: str, limit: int, after: int | None, *, is_newest_first: bool) -> Page[Transaction]:
    """Return an account's statement. `after`: the position of the last line of the page before."""
    # A range of one: by equality a planner may walk all positions in the hope of meeting the account's on its way.
    found = Transaction.objects.filter(account_id__range=(account_id, account_id))
    page = found.order_by(*(("account_id", "-position") if is_newest_first else ("-account_id", "position")))
    if after is not None:
        page = page.filter(**{"position__lt" if is_newest_first else "position__gt": after})
    return _page(found, page, limit, "transactions", account_id)


def transfer(transfer_id: str) -> Found[Transfer]:
    with snapshot("transfers"):
        return Found(Transfer.objects.filter(transfer_id=transfer_id).first(), taken_in("transfers"))


def transfers(limit: int, after: int | None, account_id: str | None, **filters: str | None) -> Page[Transfer]:
    """Return transfers, newest first. `after`: the position of the last one of the page before.

    Filters: `kind`, `status`.
    """
    found = Transfer.objects.filter(**{name: value for name, value in filters.items() if value})
    if account_id:
        found = found.filter(Q(from_account_id=account_id) | Q(to_account_id=account_id))
    page = found.order_by("-position")
    return _page(found, page if after is None else page.filter(position__lt=after), limit, "transfers")


def due_holds(now: datetime, after: Transfer | None, limit: int) -> list[Transfer]:
    """Return open holds whose deadline has passed, in the order of their deadlines, those after `after`."""
    found = Transfer.objects.filter(status=HELD, expires_at__lte=now)
    if after is not None:
        is_later = Q(expires_at__gt=after.expires_at) | Q(
            expires_at=after.expires_at, transfer_id__gt=after.transfer_id
        )
        # The first condition is implied by the second; it alone is a range of the index.
        found = found.filter(Q(expires_at__gte=after.expires_at) & is_later)
    return list(found.order_by("expires_at", "transfer_id")[:limit])


def next_deadline(now: datetime) -> datetime | None:
    """Return the first deadline of an open hold that has not passed yet."""
    upcoming = Transfer.objects.filter(status=HELD, expires_at__gt=now).order_by("expires_at", "transfer_id")
    return upcoming.values_list("expires_at", flat=True).first()


def trial_balance(as_of: datetime | None) -> TrialBalance:
    """Return each currency's two sides, now or as of an instant by recorded_at."""
    with snapshot("transactions"), connections[ALIAS].cursor() as cursor:
        cursor.execute(TRIAL_BALANCE, {"as_of": as_of, "outside": _OUTSIDE})
        lines = [TrialBalanceLine(row[0], row[1], int(row[2]), int(row[3])) for row in cursor.fetchall()]
        return TrialBalance(lines, taken_in("transactions"))


def _page(found: QuerySet[Any], page: QuerySet[Any], limit: int, projection: str,
          account_id: str | None = None) -> Page[Any]:  # fmt: skip
    with snapshot(found.model._meta.db_table):
        return Page(list(page[:limit]), found.count(), taken_in(projection, account_id))
