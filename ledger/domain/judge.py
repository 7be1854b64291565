"""Decides a recorded command again: would the rules have led to exactly these events?

The command is read back from its events, decided on the state before it, and what that gives is compared
with what is recorded. Hashes prove that history was not altered; this finds history that was never legal.
Pure, so that it travels inside an evidence bundle and runs there without this project. A new command needs
a line in `_COMMAND_OF`; a test holds that every command has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ledger.domain import commands as c
from ledger.domain.account import Account
from ledger.domain.decide import Context, States, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import MoneyWithdrawn, from_data
from ledger.domain.instants import parse_instant
from ledger.domain.money import format_minor


@dataclass(frozen=True, slots=True)
class Recorded:
    """What of a recorded event the rules know about."""

    aggregate_id: str
    event_type: str
    schema_version: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fact:
    """A recorded event, read. `event` is Any, because each command knows which types it led to."""

    id: str
    event: Any

    @property
    def amount(self) -> Decimal:
        return Decimal(format_minor(self.event.amount_minor, self.event.currency))


Facts = Sequence[Fact]


def _create(facts: Facts, state: States) -> c.Command:
    created = facts[0].event
    initial = facts[1].amount if len(facts) > 1 else Decimal(0)
    return c.CreateAccount(facts[0].id, created.owner_name, created.currency, initial)


def _multi_transfer(facts: Facts, state: States) -> c.Command:
    legs = [(isinstance(fact.event, MoneyWithdrawn), c.Leg(fact.id, fact.amount)) for fact in facts]
    sources, targets = (tuple(leg for is_out, leg in legs if is_out is wanted) for wanted in (True, False))
    return c.MultiTransfer(sources, targets, facts[0].event.description)


def _overdraft(facts: Facts, state: States) -> c.Command:
    account, event = state[facts[0].id], facts[0].event
    limit = (
        Decimal(0) if not isinstance(account, Account) else Decimal(format_minor(event.limit_minor, account.currency))
    )
    return c.SetOverdraftLimit(facts[0].id, limit, event.reason)


def _place_hold(facts: Facts, state: States) -> c.Command:
    fact, expires_at = facts[0], facts[0].event.expires_at
    return c.PlaceHold(fact.id, fact.amount, fact.event.description, expires_at and parse_instant(expires_at))


_COMMAND_OF: dict[str, Callable[[Facts, States], c.Command]] = {
    "create-account": _create,
    "deposit": lambda f, _: c.Deposit(f[0].id, f[0].amount, f[0].event.description),
    "withdraw": lambda f, _: c.Withdraw(f[0].id, f[0].amount, f[0].event.description),
    "transfer": lambda f, _: c.Transfer(f[0].id, f[1].id, f[0].amount, f[0].event.description),
    "multi-transfer": _multi_transfer,
    "exchange": lambda f, _: c.Exchange(f[0].id, f[1].id, f[0].amount, f[1].amount, f[0].event.description),
    "freeze-account": lambda f, _: c.FreezeAccount(f[0].id, f[0].event.reason),
    "unfreeze-account": lambda f, _: c.UnfreezeAccount(f[0].id, f[0].event.reason),
    "close-account": lambda f, _: c.CloseAccount(f[0].id, f[0].event.reason),
    "set-overdraft-limit": _overdraft,
    "place-hold": _place_hold,
    "capture-hold": lambda f, _: c.CaptureHold(f[0].id, f[0].event.hold_id, f[0].amount, f[0].event.description),
    "release-hold": lambda f, _: c.ReleaseHold(f[0].id, f[0].event.hold_id, f[0].event.reason),
    "expire-hold": lambda f, _: c.ExpireHold(f[0].id, f[0].event.hold_id),
    "rotate-log-key": lambda f, _: c.RotateLogKey(f[0].event.old_key, f[0].event.new_key, f[0].event.note),
}


def judge(command_type: str, events: Sequence[Recorded], state: States, command_id: str,
          effective_at: str, recorded_at: str) -> str | None:  # fmt: skip
    """Return why the rules would not have led to these events, or None when they would have.

    `events`: all of one command, in order. `state`: of every aggregate among them, before it.
    """
    try:
        facts = [Fact(e.aggregate_id, from_data(e.event_type, e.data, e.schema_version)) for e in events]
        command = _COMMAND_OF[command_type](facts, state)
        context = Context(command_id, parse_instant(effective_at), parse_instant(recorded_at))
        decided = decide(command, {id_: state[id_] for id_ in command.aggregate_ids}, context)
    except LedgerError as error:
        return f"{error.code}: {error}"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"no command of this ledger leads to it: {type(error).__name__}: {error}"
    wanted = [Fact(d.aggregate_id, d.event) for d in decided]
    if wanted != facts:
        return f"a {command_type} leads to {_words(wanted)}; recorded is {_words(facts)}"
    return None


def _words(facts: Facts) -> str:
    return ", ".join(f"{fact.event} on {fact.id}" for fact in facts)
