"""Accounts in every state that a rule asks about, and two ways to put a command to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ledger.domain.account import CLOSED, FROZEN, Account
from ledger.domain.aggregates import State
from ledger.domain.commands import (
    Command,
)
from ledger.domain.decide import Context, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import LOG_KEYS
from ledger.domain.instants import format_instant
from ledger.domain.log_keys import LogKeys
from ledger.domain.money import AMOUNT_MINOR_MAX

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
OPENED = format_instant(NOW - timedelta(days=1))


def account(balance_minor: int = 10_000, **fields: object) -> Account:
    return Account(owner_name="Ann", currency="USD", opened_at=OPENED, balance_minor=balance_minor, **fields)  # type: ignore[arg-type]


BOOKS: dict[str, State | None] = {
    "ann": account(),
    "bob": account(0),
    "cold": account(status=FROZEN),
    "gone": account(0, status=CLOSED),
    "full": account(AMOUNT_MINOR_MAX),
    "held": account(held_minor=4_000, holds={"h-1": {"amount_minor": 4_000, "expires_at": None}}),
    "late": account(held_minor=4_000, holds={"h-2": {"amount_minor": 4_000, "expires_at": format_instant(NOW)}}),
    "soon": account(held_minor=1, holds={"h-3": {"amount_minor": 1, "expires_at": format_instant(LATER)}}),
    "many": account(holds={f"h{n}": {"amount_minor": 1, "expires_at": None} for n in range(100)}, held_minor=100),
    "used": account(-3_000, overdraft_limit_minor=5_000),
    "deep": account(overdraft_limit_minor=5_000),
    "yen": Account("Yui", "JPY", OPENED, balance_minor=500),
    "new": None,
    LOG_KEYS: LogKeys(("log+1", "log+2")),
}


def events_of(command: Command, effective_at: datetime = NOW) -> list[tuple[str, object]]:
    return [(d.aggregate_id, d.event) for d in decide(command, BOOKS, Context("c-1", effective_at, NOW))]


def refusal_of(command: Command, effective_at: datetime = NOW) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        decide(command, BOOKS, Context("c-1", effective_at, NOW))
    return caught.value
