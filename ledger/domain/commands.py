"""Commands: what somebody asks for. Each may be refused; `decide` says.

A command names its aggregates in `aggregate_ids`, accounts mostly, so that the engine can read the heads of
all of them in one query before it decides. Amounts are Decimals: how many minor units they are depends on the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from ledger.domain.events import LOG_KEYS, REVERSAL, TRANSFER
from ledger.domain.original import Original

LEGS_MAX = 100  # of one side of a multi-transfer; more is a batch
EVENTS_MAX = 2 * LEGS_MAX + 1  # of one command: the reversal of a multi-transfer, and what counts it
# The fields, of commands and so of events, that hold what a person wrote. They are sealed before a command is decided
# (ledger.subjects) and can be erased; whatever else a command holds is on record for ever.
FREE_TEXT = ("owner_name", "description", "reason")
# Of a field that came later: not given, it is no part of the request, so that an older request is still the same one.
LEFT_OUT_IF_NONE = "left_out_if_none"


@dataclass(frozen=True, slots=True)
class OneAccount:
    """What every command on a single account shares."""

    account_id: str

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (self.account_id,)


@dataclass(frozen=True, slots=True)
class CreateAccount(OneAccount):
    """`subject_id`: whose account it is, if that person has others. No rule asks for it and no event holds it."""

    owner_name: str
    currency: str
    initial_balance: Decimal = Decimal(0)
    subject_id: str | None = field(default=None, metadata={LEFT_OUT_IF_NONE: True})


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
    """Only an account without money and without holds can be closed, and it stays closed.

    A hold whose deadline has passed is none: it is released by the same command.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class EraseSubject(OneAccount):
    """Have everything forgotten that was written about the account's owner; sent by `manage.py erase_subject`.

    `grounds` says on whose request; it is no free text, because what explains an erasure has to outlive it.
    """

    grounds: str


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
class Reverse:
    """Take back what a command did, named by its id or by one of its events: the rest of it, or `amount` of it.

    `force`: even if the money is gone; for administrators. `original`: looked up by whoever decides, no part of
    the request.
    """

    reason: str
    event_id: str | None = None
    command_id: str | None = None
    amount: Decimal | None = None
    force: bool = False
    original: Original | None = field(default=None, compare=False, repr=False)

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        if self.original is None:
            return (f"{REVERSAL}{self.command_id or self.event_id}",)
        return (REVERSAL + self.original.command_id, *(leg.account_id for leg in self.original.legs))


@dataclass(frozen=True, slots=True)
class StartTransfer:
    """A transfer in steps: reserves now, and is settled or given up by the process manager. Its id is the command's."""

    from_account_id: str
    to_account_id: str
    amount: Decimal
    description: str = ""

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (self.from_account_id, self.to_account_id)


@dataclass(frozen=True, slots=True)
class SettleTransfer:
    """Move what a transfer reserved; sent by the process manager, which reads the accounts from its first event."""

    transfer_id: str
    from_account_id: str
    to_account_id: str

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (TRANSFER + self.transfer_id, self.from_account_id, self.to_account_id)


@dataclass(frozen=True, slots=True)
class FailTransfer:
    """Set free what a transfer reserved, because its settlement was refused; sent by the process manager."""

    transfer_id: str
    from_account_id: str
    code: str
    reason: str

    @property
    def aggregate_ids(self) -> tuple[str, ...]:
        return (TRANSFER + self.transfer_id, self.from_account_id)


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
    Reverse: "reverse",
    StartTransfer: "start-transfer",
    SettleTransfer: "settle-transfer",
    FailTransfer: "fail-transfer",
    EraseSubject: "erase-subject",
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
    | Reverse
    | StartTransfer
    | SettleTransfer
    | FailTransfer
    | EraseSubject
    | RotateLogKey
)
