"""The engine against a naive model: random commands, batches and retries must agree on every balance and refusal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import chain

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, rule, run_state_machine_as_test

from ledger.domain.commands import (
    CloseAccount,
    Command,
    Deposit,
    Exchange,
    FreezeAccount,
    Leg,
    MultiTransfer,
    ReleaseHold,
    Reverse,
    SetOverdraftLimit,
    StartTransfer,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from ledger.engine.execute import execute
from ledger.engine.sagas import ProcessManager
from ledger.engine.submission import Rejected, Submission
from tests.engine_model import ACCOUNTS, ModelAccount, ModelMove, ModelTransfer, cents
from tests.engine_model_holds import HoldsMachine, amounts, numbers
from tests.read_world import order_everything


class EngineAgainstModel(HoldsMachine):
    moves = Bundle("moves")
    transfers = Bundle("transfers")

    def check_move(self, command: Command, expected: str | None, *legs: tuple[ModelAccount, int]) -> ModelMove:
        """Execute a command that moves money on these accounts, if the model says that it does."""
        done: list[ModelMove] = []

        def apply() -> None:
            for account, minor in legs:
                self.move(account, minor)
            done.append(ModelMove("", list(legs), abs(legs[0][1]), abs(legs[0][1])))

        submission = self.check(command, expected, apply)
        move = done[0] if done else ModelMove("", [])
        move.command_id = str(submission.command_id)
        return move

    @rule(target=moves, number=numbers, amount=amounts)
    def deposit(self, number: int, amount: Decimal) -> ModelMove:
        account = self.model[self.ids[number]]
        return self.check_move(Deposit(self.ids[number], amount), self.blocked(account), (account, cents(amount)))

    @rule(target=moves, number=numbers, amount=st.none() | amounts)
    def withdraw(self, number: int, amount: Decimal | None) -> ModelMove:
        """None: all there is to the cent, which shows best what is held and what is not."""
        return self.take_out(number, amount)

    def take_out(self, number: int, amount: Decimal | None) -> ModelMove:
        account = self.model[self.ids[number]]
        amount = Decimal(max(1, account.available)) / 100 if amount is None else amount
        short = "insufficient_funds" if cents(amount) > account.available else None
        expected = self.blocked(account) or short
        return self.check_move(Withdraw(self.ids[number], amount), expected, (account, -cents(amount)))

    @rule(target=moves, a=numbers, b=numbers, amount=amounts)
    def transfer(self, a: int, b: int, amount: Decimal) -> ModelMove:
        source, target = self.model[self.ids[a]], self.model[self.ids[b]]
        short = "insufficient_funds" if cents(amount) > source.available else None
        expected = "same_account" if a == b else self.blocked(source, target) or short
        legs = (source, -cents(amount)), (target, cents(amount))
        return self.check_move(Transfer(self.ids[a], self.ids[b], amount), expected, *legs)

    @rule(
        move=moves, percents=st.lists(st.sampled_from([None, 40, 70, 101]), min_size=1, max_size=2), force=st.booleans()
    )
    def reverse(self, move: ModelMove, percents: list[int | None], force: bool) -> None:
        """Of what was moved; two parts of it often add up to more than all of it."""
        for percent in percents:
            self.take_back(move, percent, force)

    def take_back(self, move: ModelMove, percent: int | None, force: bool) -> None:
        wanted = move.left if percent is None else max(1, move.moved * percent // 100)
        part = None if percent is None else Decimal(wanted) / 100
        short = not force and any(minor > 0 and wanted > account.available for account, minor in move.legs)
        expected = (
            self.blocked(*(account for account, _ in move.legs))
            or ("already_reversed" if not move.left else None)
            or ("reversal_exceeded" if wanted > move.left else None)
            or ("insufficient_funds" if short else None)
        )

        def apply() -> None:
            move.left -= wanted
            for account, minor in move.legs:
                account.was_forced |= minor > 0 and wanted > account.available
                self.move(account, -wanted if minor > 0 else wanted)
            self.other_ids.add(f"reversal:{move.command_id}")

        command = Reverse("mistaken", command_id=move.command_id, amount=part, force=force)
        self.check(command, expected if move.legs else "original_not_found", apply)

    @rule(target=transfers, a=numbers, b=numbers, amount=amounts)
    def start_transfer(self, a: int, b: int, amount: Decimal) -> tuple[int, str]:
        source, target = self.model[self.ids[a]], self.model[self.ids[b]]
        short = "insufficient_funds" if cents(amount) > source.available else None
        expected = "same_account" if a == b else self.blocked(source, target) or short
        started: list[bool] = []
        command = StartTransfer(self.ids[a], self.ids[b], amount)
        transfer_id = str(self.check(command, expected, lambda: started.append(True)).command_id)
        if started:
            self.unended.append(ModelTransfer(transfer_id, source, target, cents(amount)))
            self.other_ids.add(f"transfer:{transfer_id}")
            source.holds[f"transfer:{transfer_id}"] = cents(amount)
            source.version += 1
        return a, f"transfer:{transfer_id}"

    @rule(hold=transfers)
    def meddle_with_a_transfer(self, hold: tuple[int, str]) -> None:
        number, hold_id = hold
        expected = "hold_of_transfer" if hold_id in self.model[self.ids[number]].holds else "hold_not_found"
        self.check(ReleaseHold(self.ids[number], hold_id), expected, lambda: None)

    @rule(frozen=st.none() | numbers)
    def end_transfers(self, frozen: int | None) -> None:
        """A process manager of its own each time, as after a crash: it finds by itself what has not ended."""
        is_frozen_meanwhile = frozen is not None and self.model[self.ids[frozen]].status == "active"
        if frozen is not None and is_frozen_meanwhile:
            self.freeze_or_unfreeze(frozen)
        order_everything()
        ProcessManager().work()
        for transfer in self.unended:
            held = transfer.source.holds.pop(f"transfer:{transfer.transfer_id}")
            if self.blocked(transfer.source, transfer.target):
                transfer.source.version += 1
            else:
                self.move(transfer.source, -held)
                self.move(transfer.target, held)
        self.unended.clear()
        if frozen is not None and is_frozen_meanwhile:
            self.freeze_or_unfreeze(frozen)

    @rule(number=numbers, limit=amounts)
    def set_overdraft_limit(self, number: int, limit: Decimal) -> None:
        account = self.model[self.ids[number]]
        in_use = "overdraft_in_use" if cents(limit) < account.limit - account.available else None

        def apply() -> None:
            account.limit, account.version = cents(limit), account.version + 1

        self.check(SetOverdraftLimit(self.ids[number], limit), self.blocked(account) or in_use, apply)

    @rule(number=numbers)
    def toggle(self, number: int) -> None:
        self.freeze_or_unfreeze(number)

    def freeze_or_unfreeze(self, number: int) -> None:
        account_id = self.ids[number]
        account = self.model[account_id]
        is_frozen = account.status == "frozen"
        command: Command = UnfreezeAccount(account_id) if is_frozen else FreezeAccount(account_id)
        expected = "account_closed" if account.status == "closed" else None
        self.check(command, expected, lambda: self.stand(account, "active" if is_frozen else "frozen"))

    @rule(number=numbers, held=st.none() | amounts)
    def close(self, number: int, held: Decimal | None) -> None:
        """`held`: on an account that is then emptied; by chance hardly any is closed with a hold that has expired."""
        account = self.model[self.ids[number]]
        if held is not None:
            self.hold_until_it_expires(number, held)
            self.take_out(number, Decimal(max(1, account.balance)) / 100)
        expired = account.holds.keys() & account.expired
        is_empty = not account.balance and account.holds.keys() == expired
        expected = self.blocked(account) or (None if is_empty else "account_not_empty")

        def apply() -> None:
            for hold_id in expired:
                del account.holds[hold_id]
            account.version += len(expired)
            self.stand(account, "closed")

        self.check(CloseAccount(self.ids[number]), expected, apply)

    @rule(order=st.permutations(range(ACCOUNTS)), amounts=st.tuples(amounts, amounts), off=st.sampled_from([0, 0, 1]))
    def multi_transfer(self, order: list[int], amounts: tuple[Decimal, Decimal], off: int) -> None:
        """From two accounts to two others, crosswise; `off` by a cent it is balanced no more."""
        a, b, c, d = (self.ids[number] for number in order)
        one, two = amounts
        command = MultiTransfer((Leg(a, one), Leg(b, two)), (Leg(c, two + Decimal(off) / 100), Leg(d, one)))
        legs = [(a, -one), (b, -two), (c, two), (d, one)]
        short = any(cents(-amount) > self.model[id_].available for id_, amount in legs[:2])
        expected = (
            ("unbalanced" if off else None)
            or self.blocked(*(self.model[id_] for id_, _ in legs))
            or ("insufficient_funds" if short else None)
        )
        self.check(command, expected, lambda: [self.move(self.model[id_], cents(amount)) for id_, amount in legs])

    @rule(number=numbers, amount=amounts, to_amount=amounts, is_back=st.booleans())
    def exchange(self, number: int, amount: Decimal, to_amount: Decimal, is_back: bool) -> None:
        a, b = (self.foreign, self.ids[number]) if is_back else (self.ids[number], self.foreign)
        source, target = self.model[a], self.model[b]
        short = "insufficient_funds" if cents(amount) > source.available else None

        def apply() -> None:
            self.move(source, -cents(amount))
            self.move(target, cents(to_amount))

        self.check(Exchange(a, b, amount, to_amount), self.blocked(source, target) or short, apply)

    Steps = list[tuple[int, int, Decimal]]
    steps = st.lists(st.tuples(numbers, numbers, amounts), min_size=1, max_size=12)

    def transfers_of(self, steps: Steps) -> list[Submission]:
        return [self.submission(Transfer(self.ids[a], self.ids[b], amount)) for a, b, amount in steps]

    @rule(steps=steps, atomic=st.booleans())
    def batch(self, steps: Steps, atomic: bool) -> None:
        before = {id_: (a.balance, a.version) for id_, a in self.model.items()}
        expected, submissions = list[str | None](), self.transfers_of(steps)
        for (a, b, amount), submission in zip(steps, submissions, strict=True):
            source, target = self.model[self.ids[a]], self.model[self.ids[b]]
            short = "insufficient_funds" if cents(amount) > source.available else None
            expected.append("same_account" if a == b else self.blocked(source, target) or short)
            self.expect_refusal(submission, expected[-1])
            if expected[-1] is None:
                self.move(source, -cents(amount))
                self.move(target, cents(amount))
        outcomes = execute(submissions, atomic=atomic)
        if atomic and any(expected):
            for id_, (balance, version) in before.items():
                self.model[id_].balance, self.model[id_].version = balance, version
            expected = [code or "batch_aborted" for code in expected]
        assert [o.error.code if isinstance(o, Rejected) else None for o in outcomes] == expected

    @rule(writers=st.lists(steps, min_size=2, max_size=4))
    def write_at_once(self, writers: list[Steps]) -> None:
        calls = [self.transfers_of(steps) for steps in writers]
        before = {id_: (a.version, a.available, a.available - a.balance) for id_, a in self.model.items()}
        with ThreadPoolExecutor(len(calls)) as threads:
            answers = list(threads.map(execute, calls))
        self.agree_in_some_order(list(chain(*calls)), list(chain(*answers)), before)


@pytest.mark.usefixtures("database")
def test_the_engine_agrees_with_a_naive_model() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        EngineAgainstModel,
        settings=settings(
            max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
