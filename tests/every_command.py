"""Random commands of every kind there is, holds that are placed and closed included, for whoever folds a history."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    CreateAccount,
    Deposit,
    EraseSubject,
    Exchange,
    FailTransfer,
    FreezeAccount,
    Leg,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    Reverse,
    SetOverdraftLimit,
    SettleTransfer,
    StartTransfer,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from ledger.engine.execute import execute
from ledger.engine.submission import Outcome, Submission

TEXTS = ("", "rent", "salary März", "invoice 7", "%_'\\")
LATER = timedelta(days=1)


class RandomCommands:
    """`choose` decides everything, so that a seed, or hypothesis, decides it. Some commands will be refused.

    It remembers what it sent, so that a later command can close a hold, end a transfer in steps, or take back anything.
    """

    def __init__(self, accounts: Sequence[str], choose: random.Random) -> None:
        self._accounts, self._choose = list(accounts), choose
        self._holds: list[tuple[str, UUID]] = []
        self._started: list[tuple[str, StartTransfer]] = []
        self._sent: list[str] = []

    def submissions(self, number: int) -> list[Submission]:
        return [self._one() for _ in range(number)]

    def execute(self, number: int) -> list[Outcome]:
        return execute(self.submissions(number))

    def _one(self) -> Submission:
        kind: Callable[[str], Command] = self._choose.choice(
            [self._deposit, self._withdraw, self._transfer, self._transfer, self._multi_transfer, self._exchange,
             self._place, self._place, self._capture, self._release, self._switch, self._overdraft,
             self._start, self._settle, self._fail, self._reverse, self._reverse, self._erase]
        )  # fmt: skip
        command_id = uuid4()  # nothing is decided by it
        command = kind(self._account())
        if isinstance(command, PlaceHold):
            self._holds.append((command.account_id, command_id))
        elif isinstance(command, StartTransfer):
            self._started.append((str(command_id), command))
        if not isinstance(command, Reverse):
            self._sent.append(str(command_id))
        return Submission(command, actor="tester", command_id=command_id)

    def _account(self) -> str:
        return self._choose.choice(self._accounts)

    def _two(self) -> list[str]:
        return self._choose.sample(self._accounts, 2)

    def _amount(self, most: int = 400) -> Decimal:
        return Decimal(self._choose.randint(1, most))

    def _text(self) -> str:
        return self._choose.choice(TEXTS)

    def _deposit(self, account_id: str) -> Command:
        return Deposit(account_id, self._amount(), self._text())

    def _withdraw(self, account_id: str) -> Command:
        return Withdraw(account_id, self._amount(), self._text())

    def _transfer(self, account_id: str) -> Command:
        return Transfer(*self._two(), self._amount(), self._text())

    def _exchange(self, account_id: str) -> Command:
        return Exchange(*self._two(), self._amount(), self._amount(), self._text())

    def _multi_transfer(self, account_id: str) -> Command:
        """One gives what two get, or two give what one gets."""
        one, *two = self._choose.sample(self._accounts, 3)
        amounts = [self._amount(100), self._amount(100)]
        legs = tuple(Leg(id_, amount) for id_, amount in zip(two, amounts, strict=True))
        whole = (Leg(one, sum(amounts, Decimal(0))),)
        sides: Any = (whole, legs) if self._choose.random() < 0.5 else (legs, whole)
        return MultiTransfer(*sides, self._text())

    def _place(self, account_id: str) -> Command:
        expires_at = self._choose.choice([None, datetime.now(UTC) + LATER])
        return PlaceHold(account_id, self._amount(200), self._text(), expires_at)

    def _capture(self, account_id: str) -> Command:
        if not self._holds:
            return self._place(account_id)
        held_on, hold_id = self._choose.choice(self._holds)
        return CaptureHold(held_on, str(hold_id), self._choose.choice([None, self._amount(100)]), self._text())

    def _release(self, account_id: str) -> Command:
        if not self._holds:
            return self._place(account_id)
        held_on, hold_id = self._choose.choice(self._holds)
        return ReleaseHold(held_on, str(hold_id), "not needed")

    def _start(self, account_id: str) -> Command:
        return StartTransfer(*self._two(), self._amount(200), self._text())

    def _settle(self, account_id: str) -> Command:
        if not self._started:
            return self._start(account_id)
        transfer_id, started = self._choose.choice(self._started)
        return SettleTransfer(transfer_id, started.from_account_id, started.to_account_id)

    def _fail(self, account_id: str) -> Command:
        if not self._started:
            return self._start(account_id)
        transfer_id, started = self._choose.choice(self._started)
        return FailTransfer(transfer_id, started.from_account_id, "account_closed", "closed meanwhile")

    def _reverse(self, account_id: str) -> Command:
        if not self._sent:
            return self._deposit(account_id)
        amount = self._choose.choice([None, self._amount(100)])
        return Reverse("a mistake", command_id=self._choose.choice(self._sent), amount=amount)

    def _erase(self, account_id: str) -> Command:
        return EraseSubject(account_id, "on request")

    def _switch(self, account_id: str) -> Command:
        switches = (FreezeAccount, UnfreezeAccount, UnfreezeAccount, UnfreezeAccount, CloseAccount)
        return self._choose.choice(switches)(account_id, "because")

    def _overdraft(self, account_id: str) -> Command:
        return SetOverdraftLimit(account_id, Decimal(self._choose.randint(0, 50)))


def open_in_two_currencies(number: int) -> list[str]:
    """Open accounts with money in them, so that most random commands meet their like."""
    ids = [f"acc-{index}" for index in range(number)]
    currencies = ("USD", "USD", "USD", "JPY")
    execute([
        Submission(CreateAccount(id_, f"Owner {index}", currencies[index % 4], Decimal(1_000)), actor="tester")
        for index, id_ in enumerate(ids)
    ])  # fmt: skip
    return ids
