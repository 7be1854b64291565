"""Accounts in every state that a rule asks about, and two ways to put a command to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.domain.account import CLOSED, FROZEN, Account
from ledger.domain.aggregates import State
from ledger.domain.commands import (
    Command,
)
from ledger.domain.decide import Context, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import LOG_KEYS, Event, MoneyDeposited, MoneyWithdrawn
from ledger.domain.instants import format_instant
from ledger.domain.log_keys import LogKeys
from ledger.domain.money import AMOUNT_MINOR_MAX
from ledger.domain.original import Original, OriginalLeg
from ledger.domain.reversal import Reversal
from ledger.domain.transfer import Transfer

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
    "over": account(
        0,
        held_minor=5,
        holds={
            "h-5": {"amount_minor": 2, "expires_at": format_instant(NOW)},
            "h-4": {"amount_minor": 3, "expires_at": OPENED},
        },
    ),
    "half": account(
        0,
        held_minor=5,
        holds={
            "h-4": {"amount_minor": 3, "expires_at": OPENED},
            "h-6": {"amount_minor": 2, "expires_at": format_instant(LATER)},
        },
    ),
    "many": account(holds={f"h{n}": {"amount_minor": 1, "expires_at": None} for n in range(100)}, held_minor=100),
    "used": account(-3_000, overdraft_limit_minor=5_000),
    "deepest": account(-AMOUNT_MINOR_MAX + 1),
    "deep": account(overdraft_limit_minor=5_000),
    "yen": Account("Yui", "JPY", OPENED, balance_minor=500),
    "new": None,
    LOG_KEYS: LogKeys(("log+1", "log+2")),
    "saga": account(held_minor=4_000, holds={"transfer:t-1": {"amount_minor": 4_000, "expires_at": None}}),
    "transfer:t-0": None,
    "transfer:t-1": Transfer("saga", "bob", 4_000, "USD", "rent"),
    "transfer:t-cold": Transfer("saga", "cold", 4_000, "USD", "rent"),
    "transfer:t-gone": Transfer("saga", "gone", 4_000, "USD", "rent"),
    "transfer:t-full": Transfer("saga", "full", 4_000, "USD", "rent"),
    "transfer:t-iced": Transfer("cold", "gone", 4_000, "USD", "rent"),
    "transfer:t-done": Transfer("saga", "gone", 4_000, "USD", "rent", "completed"),
    "transfer:t-lost": Transfer("saga", "gone", 4_000, "USD", "rent", "failed", "account_closed"),
    "reversal:fresh": None,
    "reversal:part": Reversal("USD", original_minor=5_000, reversed_minor=2_000),
    "reversal:done": Reversal("USD", original_minor=5_000, reversed_minor=5_000),
}


def original(*legs: tuple[str, Event], command_id: str = "fresh") -> Original:
    """Return a recorded command to reverse; its events are called e-0, e-1, …"""
    return Original(command_id, tuple(OriginalLeg(f"e-{number}", *leg) for number, leg in enumerate(legs)))  # type: ignore[arg-type]


def deposited(account_id: str, amount_minor: int = 5_000, **fields: Any) -> tuple[str, Event]:
    return account_id, MoneyDeposited(
        amount_minor, **{"currency": "USD", "counter_account": "external:USD", "description": "", **fields}
    )


def withdrawn(account_id: str, amount_minor: int = 5_000, **fields: Any) -> tuple[str, Event]:
    return account_id, MoneyWithdrawn(
        amount_minor, **{"currency": "USD", "counter_account": "external:USD", "description": "", **fields}
    )


def events_of(command: Command, effective_at: datetime = NOW) -> list[tuple[str, object]]:
    return [(d.aggregate_id, d.event) for d in decide(command, BOOKS, Context("c-1", effective_at, NOW))]


def refusal_of(command: Command, effective_at: datetime = NOW) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        decide(command, BOOKS, Context("c-1", effective_at, NOW))
    return caught.value
