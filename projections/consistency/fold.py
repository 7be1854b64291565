"""The fresh fold: every event evolved anew, and what each one did to its account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ledger.domain.account import AGGREGATE_TYPE, Account, evolve, from_state, to_state
from ledger.domain.events import TECHNICAL_PREFIXES, from_data
from ledger.domain.instants import format_instant, parse_instant
from ledger.store import history
from projections.consistency.spill import Spill
from projections.source import Sequenced


class Step(NamedTuple):
    """An event of an account, the account around it, and what it changed the balance by.

    `description`: what is left of it today.
    """

    sequenced: Sequenced
    before: Account | None
    after: Account
    moved_minor: int
    description: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the fold has an account."""

    account: Account
    version: int
    position: int
    updated_at: datetime


class Fold:
    """Holds accounts and sums; what is not in memory is in files that go with it. Use `close`."""

    def __init__(self) -> None:
        self.accounts: Spill[Standing] = Spill(_encode, _decode)
        # (debits, credits, postings) by account, side and day; (events, amount) by minute, type and currency.
        self.days: Spill[list[int]] = Spill(list, list)
        self.activity: Spill[list[int]] = Spill(list, list)
        # (accounts, external, debits, credits, postings, position) by currency
        self.trial: dict[str, list[int]] = {}

    def close(self) -> None:
        for spill in (self.accounts, self.days, self.activity):
            spill.close()

    def take(self, sequenced: Sequenced) -> Step | None:
        """Evolve one event and return what it did; None for one that is no account's."""
        event = sequenced.event
        if event.aggregate_type != AGGREGATE_TYPE:
            self._count(sequenced, 0, "")
            return None
        standing = self.accounts.get(event.aggregate_id)
        before = standing.account if standing and standing.version == event.version - 1 else None
        if before is None and event.version > 1:  # the fold began later than the account, or left events of it out
            last = history.events_of(event.aggregate_id, [event.version - 1])[event.version - 1]
            before = from_state(last.state)
        fact = from_data(event.event_type, event.data, event.schema_version)
        after = evolve(before, fact, format_instant(event.effective_at))
        self.accounts.put(
            event.aggregate_id, Standing(after, event.version, sequenced.position, event.recorded_at)
        )  # fmt: skip
        step = Step(sequenced, before, after, after.balance_minor - (before.balance_minor if before else 0))
        self._count(sequenced, step.moved_minor, after.currency if step.moved_minor else "")
        if step.moved_minor:
            self._add(step)
        return step

    def _count(self, sequenced: Sequenced, moved_minor: int, currency: str) -> None:
        minute = sequenced.event.recorded_at.replace(second=0, microsecond=0)
        key = f"{minute.isoformat()} {sequenced.event.event_type} {currency}"
        events, amount_minor = self.activity.get(key) or (0, 0)
        self.activity.put(key, [events + 1, amount_minor + abs(moved_minor)])

    def _add(self, step: Step) -> None:
        event, currency = step.sequenced.event, step.after.currency
        row = self.trial.setdefault(currency, [0] * 6)
        for account_id, is_external, amount_minor in sides_of(step):
            key = f"{account_id} {is_external} {event.effective_at.date()}"
            day = self.days.get(key) or [0, 0, 0]
            day[amount_minor > 0] += abs(amount_minor)
            day[2] += 1
            self.days.put(key, day)
            row[is_external] += amount_minor
            row[2 + (amount_minor > 0)] += abs(amount_minor)
            row[4] += 1
        row[5] = step.sequenced.position


def sides_of(step: Step) -> list[tuple[str, bool, int]]:
    """Return account, whether it is outside, and amount of each side that an event is posted on."""
    event = step.sequenced.event
    sides = [(event.aggregate_id, False, step.moved_minor)]
    counter_account = event.data["counter_account"]
    if counter_account.startswith(TECHNICAL_PREFIXES):
        sides.append((counter_account, True, -step.moved_minor))
    return sides


def _encode(standing: Standing) -> list[Any]:
    return [
        to_state(standing.account), standing.version, standing.position, format_instant(standing.updated_at)
    ]  # fmt: skip


def _decode(values: list[Any]) -> Standing:
    state, version, position, updated_at = values
    return Standing(from_state(state), version, position, parse_instant(updated_at))
