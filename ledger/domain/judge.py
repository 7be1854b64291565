"""Decides a recorded command again: would the rules have led to exactly these events?

The command is read back from its events, decided on the state before it, and what that gives is compared
with what is recorded. Hashes prove that history was not altered; this finds history that was never legal.
Pure, so that it travels inside an evidence bundle and runs there without this project. A new command needs
a line in `_COMMAND_OF`; a test holds that every command has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from ledger.domain import commands as c
from ledger.domain.account import Account
from ledger.domain.decide import Context, States, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import REVERSAL, MoneyWithdrawn, from_data
from ledger.domain.instants import parse_instant
from ledger.domain.money import format_minor
from ledger.domain.original import Original


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
FindOriginal = Callable[[str], Original | None]
# (account, the currency to assume where it cannot be known) → the one that it was opened in; None when it was not.
FindCurrency = Callable[[str, str], str | None]


def _none(command_id: str) -> None:
    return None


def _assumed(account_id: str, currency: str) -> str:
    return currency


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


def _reverse(facts: Facts, state: States) -> c.Command:
    """The original is whatever the reversal is about; which events it reverses, the comparison says."""
    reversed_ = facts[-1]
    command_id, event = reversed_.id.removeprefix(REVERSAL), reversed_.event
    return c.Reverse(event.reason, None, command_id, reversed_.amount, event.is_forced)


def _start_transfer(facts: Facts, state: States) -> c.Command:
    event = facts[0].event
    return c.StartTransfer(event.from_account_id, event.to_account_id, facts[0].amount, event.description)


def _fail_transfer(facts: Facts, state: States) -> c.Command:
    event = facts[1].event
    return c.FailTransfer(event.transfer_id, facts[0].id, event.code, event.reason)


def _stand_in(command: c.StartTransfer, state: States, find_currency: FindCurrency) -> States:
    """Return the state with a target that would take anything in the currency that it was opened in.

    **Why** starting a transfer does not touch its target, which may be frozen or closed at the same moment; whether
    it takes the money, the settlement decides. That it was opened, and in which currency, is so for ever.
    """
    source, target_id = state[command.from_account_id], command.to_account_id
    if not isinstance(source, Account) or target_id == command.from_account_id:
        return state
    currency = find_currency(target_id, source.currency)
    return {**state, target_id: None if currency is None else Account("", currency, source.opened_at)}


_COMMAND_OF: dict[str, Callable[[Facts, States], c.Command]] = {
    "create-account": _create,
    "deposit": lambda f, _: c.Deposit(f[0].id, f[0].amount, f[0].event.description),
    "withdraw": lambda f, _: c.Withdraw(f[0].id, f[0].amount, f[0].event.description),
    "transfer": lambda f, _: c.Transfer(f[0].id, f[1].id, f[0].amount, f[0].event.description),
    "multi-transfer": _multi_transfer,
    "exchange": lambda f, _: c.Exchange(f[0].id, f[1].id, f[0].amount, f[1].amount, f[0].event.description),
    "freeze-account": lambda f, _: c.FreezeAccount(f[0].id, f[0].event.reason),
    "unfreeze-account": lambda f, _: c.UnfreezeAccount(f[0].id, f[0].event.reason),
    "close-account": lambda f, _: c.CloseAccount(f[-1].id, f[-1].event.reason),
    "set-overdraft-limit": _overdraft,
    "place-hold": _place_hold,
    "capture-hold": lambda f, _: c.CaptureHold(f[0].id, f[0].event.hold_id, f[0].amount, f[0].event.description),
    "release-hold": lambda f, _: c.ReleaseHold(f[0].id, f[0].event.hold_id, f[0].event.reason),
    "expire-hold": lambda f, _: c.ExpireHold(f[0].id, f[0].event.hold_id),
    "reverse": _reverse,
    "start-transfer": _start_transfer,
    "settle-transfer": lambda f, _: c.SettleTransfer(f[2].event.transfer_id, f[0].id, f[1].id),
    "fail-transfer": _fail_transfer,
    "erase-subject": lambda f, _: c.EraseSubject(f[0].id, f[0].event.grounds),
    "rotate-log-key": lambda f, _: c.RotateLogKey(f[0].event.old_key, f[0].event.new_key, f[0].event.note),
}


def judge(command_type: str, events: Sequence[Recorded], state: States, command_id: str,
          effective_at: str, recorded_at: str, find_original: FindOriginal = _none,
          find_currency: FindCurrency = _assumed) -> str | None:  # fmt: skip
    """Return why the rules would not have led to these events, or None when they would have.

    `events`: all of one command, in order. `state`: of every aggregate among them, before it.
    `find_original`: gives the command that a reversal is about, by its id. `find_currency`: gives what an account
    that the events do not touch was opened in before them, None when it was not.
    """
    try:
        facts = [Fact(e.aggregate_id, from_data(e.event_type, e.data, e.schema_version)) for e in events]
        command = _COMMAND_OF[command_type](facts, state)
        if isinstance(command, c.Reverse):
            command = replace(command, original=find_original(str(command.command_id)))
        if isinstance(command, c.StartTransfer):
            state = _stand_in(command, state, find_currency)
        context = Context(command_id, parse_instant(effective_at), parse_instant(recorded_at))
        decided = decide(command, {id_: state[id_] for id_ in command.aggregate_ids}, context)
    except LedgerError as error:
        return f"{error.code}: {error}"
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"no command of this ledger leads to it: {type(error).__name__}: {error}"
    wanted = [Fact(d.aggregate_id, d.event) for d in decided]
    if wanted != facts:
        return f"a {command_type} leads to {_words(wanted)}; recorded is {_words(facts)}"
    return None


def at_odds(tellings: Sequence[tuple[object, object, Any]]) -> str | None:
    """Return how the events of one command differ in what they share, or None.

    `tellings`: of each event recorded_at, effective_at and metadata. **Why** they are one act: books cut between two
    of its sides would not balance, and `judge` is told the instants of the first.
    """
    for number, name in enumerate(("recorded_at", "effective_at")):
        if any(telling[number] != tellings[0][number] for telling in tellings):
            return f"its events differ in {name}"
    try:
        metadata = [{**metadata, "command_index": None} for _, _, metadata in tellings]
    except TypeError:
        return "its metadata are none"
    return "its events differ in their metadata" if any(each != metadata[0] for each in metadata) else None


def _words(facts: Facts) -> str:
    return ", ".join(f"{fact.event} on {fact.id}" for fact in facts)
