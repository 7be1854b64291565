"""The engine against a naive model: random commands, batches and retries must agree on every balance and refusal.

The model knows the rules in the plainest way: a few dictionaries of integers. It shares no code with the domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ledger.domain.account import Account, evolve, to_state
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    CreateAccount,
    Deposit,
    FreezeAccount,
    PlaceHold,
    ReleaseHold,
    SetOverdraftLimit,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from ledger.domain.events import from_data
from ledger.domain.instants import format_instant
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Rejected, Submission
from ledger.store import event_store
from tests.ledger_world import rows

ACCOUNTS = 3
_runs = count(1)
amounts = st.integers(1, 5_000).map(lambda minor: Decimal(minor) / 100)
numbers = st.integers(0, ACCOUNTS - 1)


@dataclass
class ModelAccount:
    balance: int = 0
    limit: int = 0
    status: str = "active"
    version: int = 1
    holds: dict[str, int] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.balance + self.limit - sum(self.holds.values())


def cents(amount: Decimal) -> int:
    return int(amount * 100)


class EngineAgainstModel(RuleBasedStateMachine):
    holds = Bundle("holds")

    @initialize()
    def open_accounts(self) -> None:
        run = f"{next(_runs)}-{uuid4().hex[:6]}"
        self.ids = [f"model-{run}-{number}" for number in range(ACCOUNTS)]
        self.model = {account_id: ModelAccount() for account_id in self.ids}
        execute([self.submission(CreateAccount(id_, "Model", "USD")) for id_ in self.ids])

    def submission(self, command: Command, **about: Any) -> Submission:
        return Submission(command, actor="model", **about)

    def check(self, command: Command, expected: str | None, apply: Any) -> Submission:
        """Execute under a key, compare with what the model expects, and see that a retry changes nothing."""
        submission = self.submission(command, idempotency_key=uuid4().hex)
        (outcome,) = execute([submission])
        code = outcome.error.code if isinstance(outcome, Rejected) else None
        assert code == expected, f"{command}: the model expects {expected}, the engine says {code}"
        if expected is None:
            apply()
        (again,) = execute([self.submission(command, idempotency_key=submission.idempotency_key)])
        # Only accepted commands and refusals by a rule are remembered; the others are decided again, the same.
        assert again.replayed or (isinstance(again, Rejected) and again.error.status != 422)
        return submission

    def blocked(self, *accounts: ModelAccount) -> str | None:
        return next((f"account_{a.status}" for a in accounts if a.status != "active"), None)

    @rule(number=numbers, amount=amounts)
    def deposit(self, number: int, amount: Decimal) -> None:
        account = self.model[self.ids[number]]
        self.check(Deposit(self.ids[number], amount), self.blocked(account), lambda: self.move(account, cents(amount)))

    @rule(number=numbers, amount=amounts)
    def withdraw(self, number: int, amount: Decimal) -> None:
        account = self.model[self.ids[number]]
        short = "insufficient_funds" if cents(amount) > account.available else None
        expected = self.blocked(account) or short
        self.check(Withdraw(self.ids[number], amount), expected, lambda: self.move(account, -cents(amount)))

    @rule(a=numbers, b=numbers, amount=amounts)
    def transfer(self, a: int, b: int, amount: Decimal) -> None:
        source, target = self.model[self.ids[a]], self.model[self.ids[b]]
        short = "insufficient_funds" if cents(amount) > source.available else None
        expected = "same_account" if a == b else self.blocked(source, target) or short

        def apply() -> None:
            self.move(source, -cents(amount))
            self.move(target, cents(amount))

        self.check(Transfer(self.ids[a], self.ids[b], amount), expected, apply)

    @rule(number=numbers, limit=amounts)
    def set_overdraft_limit(self, number: int, limit: Decimal) -> None:
        account = self.model[self.ids[number]]
        in_use = "overdraft_in_use" if cents(limit) < account.limit - account.available else None

        def apply() -> None:
            account.limit, account.version = cents(limit), account.version + 1

        self.check(SetOverdraftLimit(self.ids[number], limit), self.blocked(account) or in_use, apply)

    @rule(number=numbers)
    def freeze_or_unfreeze(self, number: int) -> None:
        account_id = self.ids[number]
        account = self.model[account_id]
        is_frozen = account.status == "frozen"
        command: Command = UnfreezeAccount(account_id) if is_frozen else FreezeAccount(account_id)
        expected = "account_closed" if account.status == "closed" else None
        self.check(command, expected, lambda: self.stand(account, "active" if is_frozen else "frozen"))

    @rule(number=numbers)
    def close(self, number: int) -> None:
        account = self.model[self.ids[number]]
        expected = self.blocked(account) or ("account_not_empty" if account.balance or account.holds else None)
        self.check(CloseAccount(self.ids[number]), expected, lambda: self.stand(account, "closed"))

    @rule(target=holds, number=numbers, amount=amounts)
    def place_hold(self, number: int, amount: Decimal) -> tuple[int, str]:
        account = self.model[self.ids[number]]
        short = "insufficient_funds" if cents(amount) > account.available else None
        placed: list[str] = []
        submission = self.check(
            PlaceHold(self.ids[number], amount), self.blocked(account) or short, lambda: placed.append("")
        )
        if placed:
            account.holds[str(submission.command_id)] = cents(amount)
            account.version += 1
        return number, str(submission.command_id)

    @rule(hold=consumes(holds), part=st.none() | amounts)
    def capture_hold(self, hold: tuple[int, str], part: Decimal | None) -> None:
        number, hold_id = hold
        account = self.model[self.ids[number]]
        held = account.holds.get(hold_id)
        if held is None:
            expected: str | None = "hold_not_found"
        else:
            exceeded = "hold_exceeded" if part is not None and cents(part) > held else None
            expected = self.blocked(account) or exceeded

        def apply() -> None:
            taken = account.holds.pop(hold_id)
            self.move(account, -(taken if part is None else cents(part)))

        self.check(CaptureHold(self.ids[number], hold_id, part), expected, apply)

    @rule(hold=consumes(holds))
    def release_hold(self, hold: tuple[int, str]) -> None:
        number, hold_id = hold
        account = self.model[self.ids[number]]

        def apply() -> None:
            account.holds.pop(hold_id)
            account.version += 1

        self.check(
            ReleaseHold(self.ids[number], hold_id), None if hold_id in account.holds else "hold_not_found", apply
        )

    @rule(steps=st.lists(st.tuples(numbers, numbers, amounts), min_size=1, max_size=12), atomic=st.booleans())
    def batch(self, steps: list[tuple[int, int, Decimal]], atomic: bool) -> None:
        before = {id_: (a.balance, a.version) for id_, a in self.model.items()}
        expected = []
        for a, b, amount in steps:
            source, target = self.model[self.ids[a]], self.model[self.ids[b]]
            is_fine = a != b and not self.blocked(source, target) and cents(amount) <= source.available
            expected.append(is_fine)
            if is_fine:
                self.move(source, -cents(amount))
                self.move(target, cents(amount))
        outcomes = execute(
            [self.submission(Transfer(self.ids[a], self.ids[b], amount)) for a, b, amount in steps], atomic=atomic
        )
        if atomic and not all(expected):
            for id_, (balance, version) in before.items():
                self.model[id_].balance, self.model[id_].version = balance, version
            expected = [False] * len(steps)
        assert [isinstance(outcome, Accepted) for outcome in outcomes] == expected

    def move(self, account: ModelAccount, minor: int) -> None:
        account.balance += minor
        account.version += 1

    def stand(self, account: ModelAccount, status: str) -> None:
        account.status = status
        account.version += 1

    @invariant()
    def heads_agree(self) -> None:
        for account_id, head in event_store.read(self.ids).heads.items():
            account, expected = head.state, self.model[account_id]
            assert isinstance(account, Account)
            found = (
                account.balance_minor,
                account.held_minor,
                account.overdraft_limit_minor,
                account.status,
                head.version,
            )
            assert found == (
                expected.balance, sum(expected.holds.values()), expected.limit, expected.status, expected.version,
            )  # fmt: skip
            assert account.balance_minor >= -account.overdraft_limit_minor

    def teardown(self) -> None:
        for account_id in getattr(self, "ids", []):
            check_history(account_id)


def check_history(account_id: str) -> None:
    """Replaying every event gives every stored state; versions have no gap and recorded_at never falls."""
    found = rows("SELECT event_id FROM events WHERE aggregate_id = %s ORDER BY version", account_id)
    events = event_store.read_events([event_id for (event_id,) in found])
    state, last = None, None
    for version, (event_id,) in enumerate(found, start=1):
        event = events[event_id]
        assert event.version == version
        fact = from_data(event.event_type, event.data, event.schema_version)
        state = evolve(state, fact, format_instant(event.effective_at))
        assert to_state(state) == event.state
        assert last is None or event.recorded_at >= last
        last = event.recorded_at


@pytest.mark.usefixtures("database")
def test_the_engine_agrees_with_a_naive_model() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        EngineAgainstModel,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
