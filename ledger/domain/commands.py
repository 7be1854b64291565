"""Commands: what somebody asks for. Each may be refused; `decide` says.

A command names its aggregates in `aggregate_ids`, accounts mostly, so that the engine can read the heads of
all of them in one query before it decides. Amounts are Decimals: how many minor units they are depends on the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ledger.domain.events import LOG_KEYS

LEGS_MAX = 100  # of one side of a multi-transfer; more is a batch


@dataclass(frozen=True, slots=True)
class OneAccount:
    """What every command on a single account shares."""

    account_id: str

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (self.account_id,)


@dataclass(frozen=True, slots=True)
class CreateAccount(OneAccount):
    owner_name: str
    currency: str
    initial_balance: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Deposit(OneAccount):
    amount: Decimal
    description: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw(OneAccount):
    amount: Decimal
    description: str = ""


@dataclass(frozen=True, slots=True)
class FreezeAccount(OneAccount):
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnfreezeAccount(OneAccount):
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CloseAccount(OneAccount):
    """Only an account without money and without holds can be closed, and it stays closed."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetOverdraftLimit(OneAccount):
    limit: Decimal
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PlaceHold(OneAccount):
    """Reserve money until it is captured or released, or until `expires_at`. The command's id is the hold's."""

    amount: Decimal
    description: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaptureHold(OneAccount):
    """Take held money, all of it or, with `amount`, a part; what is not taken is released."""

    hold_id: str
    amount: Decimal | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseHold(OneAccount):
    hold_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ExpireHold(OneAccount):
    """Release a hold whose deadline has passed; sent by the worker."""

    hold_id: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money from one account to another, at once or not at all. The command's id is the transfer's."""

    from_account_id: str
    to_account_id: str
    amount: Decimal
    description: str = ""

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (self.from_account_id, self.to_account_id)


@dataclass(frozen=True, slots=True)
class Leg:
    account_id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class MultiTransfer:
    """Money from n accounts to m, balanced in every currency, at once or not at all."""

    sources: tuple[Leg, ...]
    targets: tuple[Leg, ...]
    description: str = ""

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return tuple(leg.account_id for leg in (*self.sources, *self.targets))


@dataclass(frozen=True, slots=True)
class Exchange:
    """Money of one currency for money of another, with the rate that was agreed on record."""

    from_account_id: str
    to_account_id: str
    amount: Decimal
    to_amount: Decimal
    description: str = ""

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (self.from_account_id, self.to_account_id)


@dataclass(frozen=True, slots=True)
class RotateLogKey:
    """Let another key sign the log's heads; sent by `manage.py rotate_log_key` alone."""

    old_key: str
    new_key: str
    note: str

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (LOG_KEYS,)


type_of: dict[type[Command], str] = {
    CreateAccount: "create-account",
    Deposit: "deposit",
    Withdraw: "withdraw",
    Transfer: "transfer",
    MultiTransfer: "multi-transfer",
    Exchange: "exchange",
    FreezeAccount: "freeze-account",
    UnfreezeAccount: "unfreeze-account",
    CloseAccount: "close-account",
    SetOverdraftLimit: "set-overdraft-limit",
    PlaceHold: "place-hold",
    CaptureHold: "capture-hold",
    ReleaseHold: "release-hold",
    ExpireHold: "expire-hold",
    RotateLogKey: "rotate-log-key",
}
Command = (
    CreateAccount
    | Deposit
    | Withdraw
    | Transfer
    | MultiTransfer
    | Exchange
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | SetOverdraftLimit
    | PlaceHold
    | CaptureHold
    | ReleaseHold
    | ExpireHold
    | RotateLogKey
)
