"""The naive model that the engine is held against, and what its state machine compares after every step.

The model knows the rules in the plainest way: a few dictionaries of integers. It shares no code with the domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from ledger.domain import aggregates
from ledger.domain.account import Account
from ledger.domain.commands import Command, CreateAccount
from ledger.domain.events import from_data
from ledger.domain.instants import format_instant
from ledger.engine.execute import execute
from ledger.engine.submission import Rejected, Submission
from ledger.store import event_store
from tests.ledger_world import rows

ACCOUNTS = 4
OPENING = 10_000  # of every account but the last, which is empty: a world of closed or empty accounts shows little
_runs = count(1)


@dataclass
class ModelAccount:
    balance: int = 0
    limit: int = 0
    status: str = "active"
    version: int = 1
    holds: dict[str, int] = field(default_factory=dict)
    was_forced: bool = False

    @property
    def available(self) -> int:
        return self.balance + self.limit - sum(self.holds.values())


@dataclass
class ModelMove:
    """What a command moved, as (account, signed cents) and as one sum, and how much of it is left to reverse."""

    command_id: str
    legs: list[tuple[ModelAccount, int]]
    moved: int = 0
    left: int = 0


@dataclass
class ModelTransfer:
    """A transfer in steps that has not ended."""

    transfer_id: str
    source: ModelAccount
    target: ModelAccount
    amount: int


def cents(amount: Decimal) -> int:
    return int(amount * 100)


class ModelMachine(RuleBasedStateMachine):
    """Accounts in both worlds, and the comparison; the rules are the subclass's."""

    @initialize()
    def open_accounts(self) -> None:
        run = f"{next(_runs)}-{uuid4().hex[:6]}"
        self.ids = [f"model-{run}-{number}" for number in range(ACCOUNTS)]
        *rich, poor = self.ids
        self.model = {id_: ModelAccount(OPENING, version=2) for id_ in rich} | {poor: ModelAccount()}
        self.unended: list[ModelTransfer] = []
        self.other_ids: set[str] = set()
        balances = {id_: Decimal(account.balance) / 100 for id_, account in self.model.items()}
        execute([self.submission(CreateAccount(id_, "Model", "USD", balance)) for id_, balance in balances.items()])

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
        statuses = {account.status for account in accounts}
        return next((f"account_{status}" for status in ("closed", "frozen") if status in statuses), None)

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
            assert expected.was_forced or account.balance_minor >= -account.overdraft_limit_minor

    def teardown(self) -> None:
        for aggregate_id in [*getattr(self, "ids", []), *getattr(self, "other_ids", [])]:
            check_history(aggregate_id)


def check_history(aggregate_id: str) -> None:
    """Replaying every event gives every stored state; versions have no gap and recorded_at never falls."""
    found = rows("SELECT event_id FROM events WHERE aggregate_id = %s ORDER BY version", aggregate_id)
    events = event_store.read_events([event_id for (event_id,) in found])
    aggregate = aggregates.of_id(aggregate_id)
    state, last = None, None
    for version, (event_id,) in enumerate(found, start=1):
        event = events[event_id]
        assert event.version == version
        fact = from_data(event.event_type, event.data, event.schema_version)
        state = aggregate.evolve(state, fact, format_instant(event.effective_at))
        assert aggregate.write(state) == event.state
        assert last is None or event.recorded_at >= last
        last = event.recorded_at
