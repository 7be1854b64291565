"""Commands: what somebody asks for. Each may be refused; `decide` says.

A command names its aggregates in `account_ids`, so that the engine can read the heads of all of them in one
query before it decides. Amounts are Decimals: how many minor units they are depends on the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CreateAccount:
    account_id: str
    owner_name: str
    currency: str
    initial_balance: Decimal = Decimal(0)

    @property
    def account_ids(self) -> tuple[str, ...]:
        return (self.account_id,)


@dataclass(frozen=True, slots=True)
class Deposit:
    account_id: str
    amount: Decimal
    description: str = ""

    @property
    def account_ids(self) -> tuple[str, ...]:
        return (self.account_id,)


@dataclass(frozen=True, slots=True)
class Withdraw:
    account_id: str
    amount: Decimal
    description: str = ""

    @property
    def account_ids(self) -> tuple[str, ...]:
        return (self.account_id,)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money from one account to another, at once or not at all. The command's id is the transfer's."""

    from_account_id: str
    to_account_id: str
    amount: Decimal
    description: str = ""

    @property
    def account_ids(self) -> tuple[str, ...]:
        return (self.from_account_id, self.to_account_id)


type_of = {CreateAccount: "create-account", Deposit: "deposit", Withdraw: "withdraw", Transfer: "transfer"}
Command = CreateAccount | Deposit | Withdraw | Transfer
