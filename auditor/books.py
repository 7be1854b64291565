"""The books at a glance: total balance for each currency, and whether accounts and statements agree.

The balances come from `accounts`, the sums from `transactions`: two projections that are written in one
transaction and read here in one statement, so they agree to the minor unit or something is wrong. Adding up
everything costs more the more there is, so an answer is kept for as long as keeps that cost a small share.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from babel.numbers import format_currency, get_currency_name
from django.db import connections

from auditor import sql
from ledger.domain.currencies import decimals_of
from ledger.domain.money import format_minor

LOCALE = "en_US"
AGE_S_MIN = 0.9  # a status each second gets new numbers each second
COST_SHARE = 20  # of the time at most one part in this many goes into adding up


@dataclass(frozen=True, slots=True)
class Total:
    """All balances of one currency; `balance` is exact, `formatted` is for people."""

    currency: str
    name: str
    accounts: int
    balance: str
    formatted: str
    is_balanced: bool


@dataclass(frozen=True, slots=True)
class Books:
    totals: tuple[Total, ...]

    @property
    def accounts(self) -> int:
        return sum(total.accounts for total in self.totals)

    @property
    def is_balanced(self) -> bool:
        return all(total.is_balanced for total in self.totals)


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
                self._books = Books(tuple(_total(*row) for row in _rows()))
                now = time.monotonic()
                self._fresh_until = now + max(AGE_S_MIN, COST_SHARE * (now - started))
            return self._books


BOOKS = CachedBooks()


def _rows() -> Iterable[Any]:
    with connections["read_model"].cursor() as cursor:
        cursor.execute(sql.BOOKS)
        return list(cursor.fetchall())


def _total(currency: str, accounts: Decimal, balance_minor: Decimal, moved_minor: Decimal) -> Total:
    return Total(
        currency=currency,
        name=get_currency_name(currency, locale=LOCALE),
        accounts=int(accounts),
        balance=format_minor(int(balance_minor), currency),
        formatted=format_total(int(balance_minor), currency),
        is_balanced=balance_minor == moved_minor,
    )


def format_total(amount_minor: int, currency: str) -> str:
    """Return an amount as a person reads it, with the ledger's own count of decimals: $1,234.50."""
    decimals = decimals_of(currency)
    pattern = "¤#,##0" + ("." + "0" * decimals if decimals else "")
    amount = Decimal(format_minor(amount_minor, currency))
    return format_currency(amount, currency, pattern, locale=LOCALE, currency_digits=False).replace("-", "−")
