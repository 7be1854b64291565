"""The books at a glance: total balance for each currency, and whether everything adds up.

Three sums are set against each other: the balances of all accounts, the accounts' side of the trial balance,
and its outside, which is as much less than nothing. Adding up the accounts costs more the more there are, so an
answer is kept for as long as keeps that cost a small share.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency, get_currency_name, get_currency_symbol
from django.db import connections

from auditor import sql
from ledger.domain.currencies import decimals_of
from ledger.domain.money import format_minor

LOCALE = "en_US"
NO_BREAK_SPACE = "\u00a0"
AGE_S_MIN = 0.9  # a status each second gets new numbers each second
COST_SHARE = 20  # of the time at most one part in this many goes into adding up


@dataclass(frozen=True, slots=True)
class Total:
    """All balances of one currency: `balance` is exact, `formatted` for people.

    `is_balanced` is None while the two projections it takes are not at the same position.
    """

    currency: str
    name: str
    accounts: int
    balance: str
    formatted: str
    is_balanced: bool | None


@dataclass(frozen=True, slots=True)
class Books:
    totals: tuple[Total, ...]

    @property
    def accounts(self) -> int:
        return sum(total.accounts for total in self.totals)

    @property
    def is_balanced(self) -> bool | None:
        verdicts = {total.is_balanced for total in self.totals}
        return None if None in verdicts else False not in verdicts


class CachedBooks:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._books: Books | None = None
        self._fresh_until = 0.0

    def read(self) -> Books:
        """Return the sums, at most AGE_S_MIN old or COST_SHARE times as old as they took to add up."""
        with self._lock:
            started = time.monotonic()
            if self._books is None or started >= self._fresh_until:
                self._books = _read()
                now = time.monotonic()
                self._fresh_until = now + max(AGE_S_MIN, COST_SHARE * (now - started))
            return self._books


BOOKS = CachedBooks()


def _read() -> Books:
    with connections["read_model"].cursor() as cursor:
        cursor.execute(sql.BOOKS)
        return Books(tuple(_total(*row) for row in cursor.fetchall()))


def _total(currency: str, accounts: int | None, balance_minor: Decimal | None, accounts_minor: Decimal | None,
           external_minor: Decimal | None, is_comparable: bool) -> Total:  # fmt: skip
    # Either side may lack a currency: no account of it is left to add up, or no money of it has moved.
    balance, posted, outside = (int(sum_ or 0) for sum_ in (balance_minor, accounts_minor, external_minor))
    return Total(
        currency=currency,
        name=get_currency_name(currency, locale=LOCALE),
        accounts=accounts or 0,
        balance=format_minor(balance, currency),
        formatted=format_total(balance, currency),
        is_balanced=(balance == posted == -outside) if is_comparable else None,
    )


def format_total(amount_minor: int, currency: str) -> str:
    """Return an amount as a person reads it, with the ledger's own count of decimals: $1,234.50."""
    decimals = decimals_of(currency)
    # A symbol stands at the figures, a code a space away.
    space = NO_BREAK_SPACE if get_currency_symbol(currency, locale=LOCALE)[-1].isalpha() else ""
    pattern = f"¤{space}#,##0" + ("." + "0" * decimals if decimals else "")
    amount: Any = Decimal(format_minor(amount_minor, currency))
    return format_currency(amount, currency, pattern, locale=LOCALE, currency_digits=False).replace("-", "−")
