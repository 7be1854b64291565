"""Events: what has happened. Nothing rejects an event, and nothing ever changes one.

Each is a frozen dataclass of strings and integers; its class name is its `event_type`, and its fields are
the `data` that is stored, hashed and published. `counter_account` is the other side of the money, so that
the postings of every command sum to zero. A stored event keeps its bytes for ever; `from_data` reads an
older `schema_version` through `upcasters`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from ledger.domain.upcasters import upcast

EXTERNAL = "external:"  # + currency: the world outside the ledger, where deposits come from
EXCHANGE = "exchange:"  # + currency: the desk that takes one currency and gives another
CLEARING = "clearing:"  # + currency: between the sides of a multi-transfer, empty again when it is done
# Counter-accounts with no events of their own.
TECHNICAL_PREFIXES = (EXTERNAL, EXCHANGE, CLEARING)
REVERSAL = "reversal:"  # + command_id: the aggregate that counts what of a command was reversed
TRANSFER = "transfer:"  # + transfer_id: the aggregate of a transfer in steps
LOG = "log:"  # what the log records of itself
LOG_KEYS = f"{LOG}keys"  # the aggregate of the keys that sign the log's heads
# No account's id begins so.
RESERVED_PREFIXES = (*TECHNICAL_PREFIXES, REVERSAL, TRANSFER, LOG)


@dataclass(frozen=True, slots=True)
class AccountCreated:
    schema_version: ClassVar[int] = 1
    owner_name: str
    currency: str


@dataclass(frozen=True, slots=True)
class MoneyDeposited:
    """Version 2 added `exchange_rate`, a decimal string: units of the other currency for one of this.

    Version 3 added `reverses`: the event_id of the event that this one takes back, all of it or a part.
    """

    schema_version: ClassVar[int] = 3
    amount_minor: int
    currency: str
    counter_account: str
    description: str
    transfer_id: str | None = None
    exchange_rate: str | None = None
    reverses: str | None = None


@dataclass(frozen=True, slots=True)
class MoneyWithdrawn:
    """Version 2 added `exchange_rate`, a decimal string: units of the other currency for one of this.

    Version 3 added `reverses`: the event_id of the event that this one takes back, all of it or a part.
    """

    schema_version: ClassVar[int] = 3
    amount_minor: int
    currency: str
    counter_account: str
    description: str
    transfer_id: str | None = None
    exchange_rate: str | None = None
    reverses: str | None = None


@dataclass(frozen=True, slots=True)
class AccountFrozen:
    schema_version: ClassVar[int] = 1
    reason: str


@dataclass(frozen=True, slots=True)
class AccountUnfrozen:
    schema_version: ClassVar[int] = 1
    reason: str


@dataclass(frozen=True, slots=True)
class AccountClosed:
    schema_version: ClassVar[int] = 1
    reason: str


@dataclass(frozen=True, slots=True)
class OverdraftLimitChanged:
    schema_version: ClassVar[int] = 1
    limit_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class FundsHeld:
    schema_version: ClassVar[int] = 1
    hold_id: str
    amount_minor: int
    currency: str
    description: str
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class HoldCaptured:
    """Held money left the account: `amount_minor` of it; `released_minor` stayed and is available again.

    Version 2 added `transfer_id`, of a transfer in steps whose money it was.
    """

    schema_version: ClassVar[int] = 2
    hold_id: str
    amount_minor: int
    released_minor: int
    currency: str
    counter_account: str
    description: str
    transfer_id: str | None = None


@dataclass(frozen=True, slots=True)
class HoldReleased:
    schema_version: ClassVar[int] = 1
    hold_id: str
    amount_minor: int
    reason: str


@dataclass(frozen=True, slots=True)
class CommandReversed:
    """Of the command that the aggregate is about, whose first money event was `original_minor`, so much was taken back.

    `is_forced`: an administrator had it done whether the money was still there or not.
    """

    schema_version: ClassVar[int] = 1
    amount_minor: int
    original_minor: int
    currency: str
    reason: str
    is_forced: bool


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """A transfer in steps has reserved its money: a hold of the source's that bears the transfer's aggregate's id."""

    schema_version: ClassVar[int] = 1
    transfer_id: str
    from_account_id: str
    to_account_id: str
    amount_minor: int
    currency: str
    description: str


@dataclass(frozen=True, slots=True)
class TransferCompleted:
    schema_version: ClassVar[int] = 1
    transfer_id: str


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The settlement was refused with `code`, and what was reserved is free again."""

    schema_version: ClassVar[int] = 1
    transfer_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class SubjectErased:
    """The key numbered `generation`, under which this account's texts were sealed, is destroyed; the next counts."""

    schema_version: ClassVar[int] = 1
    generation: int
    grounds: str


@dataclass(frozen=True, slots=True)
class LogKeyRotated:
    """From this event's position on the log's heads are signed by `new_key`. `note`: both keys say so, signed."""

    schema_version: ClassVar[int] = 1
    old_key: str
    new_key: str
    note: str


Event = (
    AccountCreated
    | MoneyDeposited
    | MoneyWithdrawn
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | OverdraftLimitChanged
    | FundsHeld
    | HoldCaptured
    | HoldReleased
    | CommandReversed
    | TransferStarted
    | TransferCompleted
    | TransferFailed
    | SubjectErased
    | LogKeyRotated
)
EVENT_TYPES: dict[str, type[Event]] = {event_type.__name__: event_type for event_type in Event.__args__}
_field_names = {event_type: tuple(f.name for f in fields(event_type)) for event_type in EVENT_TYPES.values()}


def to_data(event: Event) -> dict[str, Any]:
    """Return the event's fields as the JSON object that is stored."""
    return {name: getattr(event, name) for name in _field_names[type(event)]}


def from_data(event_type: str, data: dict[str, Any], schema_version: int) -> Event:
    """Return the event of stored data, whatever version it was written as. Raises KeyError for an unknown type."""
    return EVENT_TYPES[event_type](**upcast(event_type, schema_version, data))
