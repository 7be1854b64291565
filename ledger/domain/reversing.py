"""Rules for taking money back: the opposite of every event of a command, whole or in parts, never more than it was.

Nothing is deleted: the opposite events name what they reverse, and the command's reversal counts them. A reversal
is not reversed; what was taken back wrongly is done again as a new command, which says what it is.
"""

from __future__ import annotations

from ledger.domain.aggregates import State
from ledger.domain.commands import Reverse
from ledger.domain.decision import Context, Decided, States, check_all_open, check_funds, check_room, existing
from ledger.domain.errors import (
    AlreadyReversed,
    NothingToReverse,
    OriginalNotFound,
    PartNotReversible,
    ReversalExceeded,
    ReversalOfReversal,
)
from ledger.domain.events import REVERSAL, CommandReversed, HoldCaptured, MoneyDeposited, MoneyWithdrawn
from ledger.domain.money import format_minor, to_minor
from ledger.domain.original import Original, OriginalLeg
from ledger.domain.reversal import Reversal


def reverse(command: Reverse, state: States, context: Context) -> list[Decided]:
    """Forced, only the funds are not asked for: closed and frozen accounts stay what they are."""
    original = _reversible(command)
    first = original.legs[0].event
    wanted_minor = None if command.amount is None else to_minor(command.amount, first.currency)
    if wanted_minor not in (None, first.amount_minor) and not original.is_divisible:
        raise PartNotReversible(
            "a part of it could be taken back in more than one way: reverse it whole", command_id=original.command_id
        )
    accounts = {leg.account_id: existing(state, leg.account_id) for leg in original.legs}
    check_all_open(accounts, context.effective_at)
    left_minor = first.amount_minor - _reversed_minor(state[REVERSAL + original.command_id])
    amount_minor = left_minor if wanted_minor is None else wanted_minor
    _check_left(original, amount_minor, left_minor)
    parts = [(leg, amount_minor if original.is_divisible else leg.event.amount_minor) for leg in original.legs]
    for leg, part_minor in parts:
        if isinstance(leg.event, MoneyDeposited) and not command.force:
            check_funds(leg.account_id, accounts[leg.account_id], part_minor, context.recorded_at)
    for leg, part_minor in parts:
        change_minor = -part_minor if isinstance(leg.event, MoneyDeposited) else part_minor
        check_room(leg.account_id, accounts[leg.account_id], change_minor)
    decided = [Decided(leg.account_id, _opposite(leg, part_minor, command.reason)) for leg, part_minor in parts]
    reversed_ = CommandReversed(amount_minor, first.amount_minor, first.currency, command.reason, command.force)
    return [*decided, Decided(REVERSAL + original.command_id, reversed_)]


def _reversible(command: Reverse) -> Original:
    original, named = command.original, {"event_id": command.event_id, "command_id": command.command_id}
    if original is None:
        raise OriginalNotFound("there is no such command or event to reverse", **named)
    if not original.legs:
        raise NothingToReverse("it moved no money", command_id=original.command_id)
    if original.is_reversal:
        raise ReversalOfReversal("it is a reversal: do again what it took back", command_id=original.command_id)
    return original


def _reversed_minor(reversal: State | None) -> int:
    return reversal.reversed_minor if isinstance(reversal, Reversal) else 0


def _check_left(original: Original, amount_minor: int, left_minor: int) -> None:
    if not left_minor:
        raise AlreadyReversed("all of it has been reversed", command_id=original.command_id)
    if amount_minor > left_minor:
        currency = original.legs[0].event.currency
        raise ReversalExceeded(
            f"{format_minor(left_minor, currency)} of it are left to reverse",
            command_id=original.command_id,
            left=format_minor(left_minor, currency),
            required=format_minor(amount_minor, currency),
        )


def _opposite(leg: OriginalLeg, amount_minor: int, reason: str) -> MoneyDeposited | MoneyWithdrawn:
    event = leg.event
    common = (amount_minor, event.currency, event.counter_account, reason, event.transfer_id)
    if isinstance(event, HoldCaptured):
        return MoneyDeposited(*common, None, leg.event_id)
    opposite = MoneyWithdrawn if isinstance(event, MoneyDeposited) else MoneyDeposited
    return opposite(*common, event.exchange_rate, leg.event_id)
