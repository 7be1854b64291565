"""Events: what has happened. Nothing rejects an event, and nothing ever changes one.

Each is a frozen dataclass of strings and integers; its class name is its `event_type`, and its fields are
the `data` that is stored, hashed and published. `counter_account` is the other side of the money, so that
the postings of every command sum to zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

EXTERNAL = "external:"  # + currency: the world outside the ledger, where deposits come from


@dataclass(frozen=True, slots=True)
class AccountCreated:
    schema_version: ClassVar[int] = 1
    owner_name: str
    currency: str


@dataclass(frozen=True, slots=True)
class MoneyDeposited:
    schema_version: ClassVar[int] = 1
    amount_minor: int
    currency: str
    counter_account: str
    description: str
    transfer_id: str | None = None


@dataclass(frozen=True, slots=True)
class MoneyWithdrawn:
    schema_version: ClassVar[int] = 1
    amount_minor: int
    currency: str
    counter_account: str
    description: str
    transfer_id: str | None = None


Event = AccountCreated | MoneyDeposited | MoneyWithdrawn
EVENT_TYPES: dict[str, type[Event]] = {
    event_type.__name__: event_type for event_type in (AccountCreated, MoneyDeposited, MoneyWithdrawn)
}
_field_names = {event_type: tuple(f.name for f in fields(event_type)) for event_type in EVENT_TYPES.values()}


def to_data(event: Event) -> dict[str, Any]:
    """Return the event's fields as the JSON object that is stored."""
    return {name: getattr(event, name) for name in _field_names[type(event)]}


def from_data(event_type: str, data: dict[str, Any]) -> Event:
    """Return the event that `to_data` wrote. Raises KeyError for a type this version does not know."""
    return EVENT_TYPES[event_type](**data)
