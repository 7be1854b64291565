"""The naive model that the engine is held against, and what its state machine compares after every step.

The model knows the rules in the plainest way: a few dictionaries of integers. It shares no code with the domain.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from ledger.domain import aggregates
from ledger.domain.account import Account
from ledger.domain.commands import Command, CreateAccount, Transfer
from ledger.domain.events import from_data
from ledger.domain.instants import format_instant
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.store import event_store
from tests.ledger_world import history, rows
from tests.read_world import order_everything

ACCOUNTS = 4
# Refusals by a rule, which are on record; whatever else a command is refused with leaves no trace.
ON_RECORD = {
    "account_closed", "account_frozen", "account_not_empty", "already_reversed", "hold_exceeded", "hold_expired",
    "hold_not_expired", "hold_of_transfer", "insufficient_funds", "overdraft_in_use", "reversal_exceeded",
}  # fmt: skip
OPENING = 10_000  # of every account but the last, which is empty: a world of closed or empty accounts shows little
_runs = count(1)


@dataclass
class ModelAccount:
    balance: int = 0
    limit: int = 0
    status: str = "active"
    version: int = 1
    holds: dict[str, int] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)  # of the holds: these are still there, and hold nothing any more
    was_forced: bool = False

    @property
    def available(self) -> int:
        return self.balance + self.limit - sum(held for id_, held in self.holds.items() if id_ not in self.expired)


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
        self.actor = f"model-{next(_runs)}-{uuid4().hex[:6]}"
        self.ids = [f"{self.actor}-{number}" for number in range(ACCOUNTS)]
        self.foreign = f"{self.actor}-foreign"
        self.refused: set[tuple[str, str]] = set()
        *rich, poor = self.ids
        self.model = {id_: ModelAccount(OPENING, version=2) for id_ in rich} | {poor: ModelAccount()}
        self.unended: list[ModelTransfer] = []
        self.other_ids: set[str] = set()
        balances = {id_: Decimal(account.balance) / 100 for id_, account in self.model.items()}
        execute([self.submission(CreateAccount(id_, "Model", "USD", balance)) for id_, balance in balances.items()])
        self.model[self.foreign] = ModelAccount(OPENING, version=2)
        execute([self.submission(CreateAccount(self.foreign, "Model", "EUR", Decimal(OPENING) / 100))])

    def submission(self, command: Command, **about: Any) -> Submission:
        return Submission(command, actor=self.actor, **about)

    def expect_refusal(self, submission: Submission, code: str | None) -> None:
        if code in ON_RECORD:
            self.refused.add((str(submission.command_id), code))

    def check(self, command: Command, expected: str | None, apply: Any) -> Submission:
        """Execute under a key, compare with what the model expects, and see that a retry changes nothing."""
        submission = self.submission(command, idempotency_key=uuid4().hex)
        (outcome,) = execute([submission])
        code = outcome.error.code if isinstance(outcome, Rejected) else None
        assert code == expected, f"{command}: the model expects {expected}, the engine says {code}"
        self.expect_refusal(submission, expected)
        if expected is None:
            apply()
        (again,) = execute([self.submission(command, idempotency_key=submission.idempotency_key)])
        # Only accepted commands and refusals by a rule are remembered; the others are decided again, the same.
        assert again.replayed or (isinstance(again, Rejected) and again.error.status != 422)
        return submission

    def agree_in_some_order(
        self, submissions: list[Submission], outcomes: list[Outcome], before: dict[str, tuple[int, int, int]]
    ) -> None:
        """Hold transfers that were made at once against the model: who came first nobody knows.

        What was accepted adds up, and what was refused was short of money at some moment. `before`: of each account
        its version, what was available, and by how much that is more than its balance.
        """
        for submission, outcome in zip(submissions, outcomes, strict=True):
            command = submission.command
            assert isinstance(command, Transfer)
            if isinstance(outcome, Accepted):
                source, target = self.model[command.from_account_id], self.model[command.to_account_id]
                assert source is not target
                assert not self.blocked(source, target)
                self.move(source, -cents(command.amount))
                self.move(target, cents(command.amount))
        for submission, outcome in zip(submissions, outcomes, strict=True):
            command = submission.command
            assert isinstance(command, Transfer)
            if isinstance(outcome, Rejected):
                source, target = self.model[command.from_account_id], self.model[command.to_account_id]
                last, available, more = before[command.from_account_id]
                since = [balance + more for at, _, balance in history(command.from_account_id) if at > last]
                short = "insufficient_funds" if cents(command.amount) > min([available, *since]) else None
                known = "same_account" if source is target else self.blocked(source, target)
                assert outcome.error.code == (known or short)
                self.expect_refusal(submission, outcome.error.code)

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
        for account_id, head in event_store.read(list(self.model)).heads.items():
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
        if not hasattr(self, "model"):
            return
        for aggregate_id in [*self.model, *self.other_ids]:
            check_history(aggregate_id)
        on_record = rows("SELECT command_id::text, code FROM refusals WHERE actor = %s", self.actor)
        assert sorted(on_record) == sorted(self.refused), "every refusal by a rule is on record once, and no other"
        check_postings(list(self.model))


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


def check_postings(account_ids: list[str]) -> None:
    """After every command, in the order of positions, accounts and the outside sum to zero in each currency."""
    order_everything()
    found = rows(
        "SELECT j.command_index, j.command_size, e.aggregate_id, e.data, e.state FROM journal AS j "
        "JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version "
        "WHERE j.aggregate_id = ANY(%s) OR j.command_id IN (SELECT command_id FROM journal WHERE aggregate_id = ANY(%s)) "
        "ORDER BY j.position",
        account_ids, account_ids,
    )  # fmt: skip
    balances: dict[str, int] = dict.fromkeys(account_ids, 0)
    totals: Counter[str] = Counter()
    for index, size, aggregate_id, data, state in found:
        if aggregate_id in balances:
            moved = state["balance_minor"] - balances[aggregate_id]
            balances[aggregate_id] = state["balance_minor"]
            totals[state["currency"]] += moved
            if data.get("counter_account", "").startswith(("external:", "exchange:", "clearing:")):
                totals[state["currency"]] -= moved
        if index == size - 1:
            assert set(totals.values()) <= {0}, f"after a command on {aggregate_id}: {totals}"
