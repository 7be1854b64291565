"""Decides a recorded command again: would the rules have led to exactly these events?

The command is read back from its events, decided on the state before it, and what that gives is compared
with what is recorded. Hashes prove that history was not altered; this finds history that was never legal.
Pure, so that it travels inside an evidence bundle and runs there without this project.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ledger.domain.account import Account
from ledger.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
from ledger.domain.decide import Context, decide
from ledger.domain.errors import LedgerError
from ledger.domain.events import to_data
from ledger.domain.instants import parse_instant
from ledger.domain.money import format_minor


@dataclass(frozen=True, slots=True)
class Recorded:
    """What of a recorded event the rules know about."""

    aggregate_id: str
    event_type: str
    data: Mapping[str, Any]


def _amount(event: Recorded) -> Decimal:
    return Decimal(format_minor(event.data["amount_minor"], event.data["currency"]))


def _create_account(first: Recorded, others: Sequence[Recorded]) -> Command:
    initial = _amount(others[0]) if others else Decimal(0)
    return CreateAccount(first.aggregate_id, first.data["owner_name"], first.data["currency"], initial)


def _deposit(first: Recorded, others: Sequence[Recorded]) -> Command:
    return Deposit(first.aggregate_id, _amount(first), first.data["description"])


def _withdraw(first: Recorded, others: Sequence[Recorded]) -> Command:
    return Withdraw(first.aggregate_id, _amount(first), first.data["description"])


def _transfer(first: Recorded, others: Sequence[Recorded]) -> Command:
    return Transfer(first.aggregate_id, first.data["counter_account"], _amount(first), first.data["description"])


_COMMAND_OF: dict[str, Callable[[Recorded, Sequence[Recorded]], Command]] = {
    "create-account": _create_account,
    "deposit": _deposit,
    "withdraw": _withdraw,
    "transfer": _transfer,
}


def judge(command_type: str, events: Sequence[Recorded], state: Mapping[str, Account | None], command_id: str,
          effective_at: str, recorded_at: str) -> str | None:  # fmt: skip
    """Return why the rules would not have led to these events, or None when they would have.

    `events`: all of one command, in order. `state`: of every account among them, before it.
    """
    try:
        command = _COMMAND_OF[command_type](events[0], events[1:])
        known = {account_id: state[account_id] for account_id in command.account_ids}
        context = Context(command_id, parse_instant(effective_at), parse_instant(recorded_at))
        decided = decide(command, known, context)
    except LedgerError as error:
        return f"{error.code}: {error}"
    except (KeyError, TypeError, ValueError) as error:
        return f"no command of this ledger leads to it: {type(error).__name__}: {error}"
    wanted = [(d.aggregate_id, type(d.event).__name__, to_data(d.event)) for d in decided]
    recorded = [(e.aggregate_id, e.event_type, dict(e.data)) for e in events]
    if wanted != recorded:
        return f"a {command_type} leads to {_names(wanted)}, recorded are {_names(recorded)}"
    return None


def _names(events: Sequence[tuple[str, str, dict[str, Any]]]) -> str:
    return ", ".join(f"{type_} on {id_} ({data.get('amount_minor', '–')})" for id_, type_, data in events)
