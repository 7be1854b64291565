"""What each event type means for the books: the one table that postings, transactions and sums are made from.

A new event type has to be entered here, even if no money moves: one that is not known is parked, never passed
over. The account's own side is always posted; the other side only where it is outside the ledger, because
inside it is an account with an event of its own. So the postings of a command sum to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ledger.domain.events import TECHNICAL_PREFIXES
from ledger.store.journal import Sequenced


@dataclass(frozen=True, slots=True)
class Rule:
    """`sign`: of the amount on the account's own side. `kind`, `kind_in_transfer`: what a statement calls it."""

    sign: int
    kind: str
    kind_in_transfer: str


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that an event moved on its account. `amount_minor` is signed: what the balance changed by."""

    sequenced: Sequenced
    kind: str
    amount_minor: int
    currency: str
    counter_account: str
    transfer_id: str | None
    description: str

    @property
    def is_external(self) -> bool:
        return self.counter_account.startswith(TECHNICAL_PREFIXES)


MOVES_MONEY = {
    "MoneyDeposited": Rule(+1, "deposit", "transfer_in"),
    "MoneyWithdrawn": Rule(-1, "withdrawal", "transfer_out"),
    "HoldCaptured": Rule(-1, "capture", "transfer_out"),
}
REVERSAL = "reversal"  # what a statement calls a line that takes back an earlier one, whichever way it goes
MOVES_NOTHING = {
    "AccountClosed",
    "AccountCreated",
    "AccountFrozen",
    "AccountUnfrozen",
    "FundsHeld",
    "HoldReleased",
    "CommandReversed",
    "LogKeyRotated",
    "OverdraftLimitChanged",
    "TransferCompleted",
    "TransferFailed",
    "TransferStarted",
    "SubjectErased",
}


class UnknownEventType(ValueError):
    """An event type without an entry here. Enter it, restart the projector, then `retry_parked`."""


def movements(events: Iterable[Sequenced]) -> Iterator[Movement]:
    """Yield a movement for each event that moves money, in order. Raises: UnknownEventType."""
    for sequenced in events:
        event = sequenced.event
        rule = MOVES_MONEY.get(event.event_type)
        if rule is None:
            if event.event_type not in MOVES_NOTHING:
                raise UnknownEventType(f"{event.event_type} has no entry in projections.money")
            continue
        data = event.data
        transfer_id = data.get("transfer_id")
        yield Movement(
            sequenced,
            REVERSAL if data.get("reverses") else rule.kind_in_transfer if transfer_id else rule.kind,
            rule.sign * data["amount_minor"],
            data["currency"],
            data["counter_account"],
            transfer_id,
            data["description"],
        )


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of a movement. `amount_minor`: what it adds to the account, the outside world being one too."""

    movement: Movement
    account_id: str
    is_external: bool
    amount_minor: int


def postings_of(moved: Iterable[Movement]) -> Iterator[Posting]:
    """Yield the postings of movements; those of one command sum to zero."""
    for movement in moved:
        yield Posting(movement, movement.sequenced.event.aggregate_id, False, movement.amount_minor)
        if movement.is_external:
            yield Posting(movement, movement.counter_account, True, -movement.amount_minor)
