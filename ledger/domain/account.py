"""The account: its state, and how each event changes it.

`evolve` never refuses: what has happened has happened. The state after every event is stored beside the
event, so the fields here are part of the hashed history: add fields with a default, never rename one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ledger.domain.events import AccountCreated, Event, MoneyDeposited, MoneyWithdrawn

AGGREGATE_TYPE = "account"
ACTIVE, FROZEN, CLOSED = "active", "frozen", "closed"


@dataclass(frozen=True, slots=True)
class Account:
    owner_name: str
    currency: str
    opened_at: str  # RFC 3339; nothing is effective before it
    status: str = ACTIVE
    balance_minor: int = 0
    held_minor: int = 0
    overdraft_limit_minor: int = 0

    @property
    def available_minor(self) -> int:
        return self.balance_minor - self.held_minor + self.overdraft_limit_minor


def evolve(account: Account | None, event: Event, effective_at: str) -> Account:
    """Return the account after an event that took effect at `effective_at` (RFC 3339)."""
    match event:
        case AccountCreated(owner_name=owner_name, currency=currency):
            assert account is None, "an account is created once"
            return Account(owner_name=owner_name, currency=currency, opened_at=effective_at)
        case MoneyDeposited(amount_minor=amount_minor):
            assert account is not None, "money reaches only an account that exists"
            return replace(account, balance_minor=account.balance_minor + amount_minor)
        case MoneyWithdrawn(amount_minor=amount_minor):
            assert account is not None, "money leaves only an account that exists"
            return replace(account, balance_minor=account.balance_minor - amount_minor)
        case _:
            raise AssertionError(f"{type(event).__name__} is not an event of an account")


_FIELD_NAMES = tuple(f.name for f in fields(Account))


def to_state(account: Account) -> dict[str, Any]:
    """Return the account as the JSON object stored in `events.state`."""
    return {name: getattr(account, name) for name in _FIELD_NAMES}


def from_state(state: dict[str, Any]) -> Account:
    return Account(**state)
