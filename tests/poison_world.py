"""A history with an event that a projection cannot digest, until the bug is mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ledger.domain.commands import Deposit, Transfer
from ledger.store.recorded import RecordedEvent
from projections.projection import Batch, Cursor
from tests.read_world import open_accounts, order_everything, random_commands, read_model, submit

# A cent: every other amount is of whole units. By its description it cannot be told, because that is sealed.
POISON = Decimal("0.01")


def is_poison(event: RecordedEvent) -> bool:
    """Tell the side of the transfer that a projection cannot digest."""
    data = event.data
    return event.event_type == "MoneyWithdrawn" and (data["currency"], data["amount_minor"]) == ("USD", 1)


@contextmanager
def poisonous(module: Any) -> Iterator[None]:
    """Give a projection a bug: it cannot take a withdrawal of a cent."""
    healthy, is_there = module.PROJECTION, True

    def apply(cursor: Cursor, batch: Batch) -> None:
        for sequenced in batch.events:
            if is_there and is_poison(sequenced.event):
                raise ValueError("cannot digest this")
        healthy.apply(cursor, batch)

    module.PROJECTION = replace(healthy, apply=apply)
    try:
        yield
    finally:
        is_there = False  # also for a projector that has the projection already
        module.PROJECTION = healthy


def parked(projection: str) -> list[tuple[int, str, bool]]:
    return read_model(
        "SELECT position, aggregate_id, is_cause FROM parked_events WHERE projection = %s ORDER BY 1", projection
    )


def a_history_with_poison() -> list[str]:
    ids = open_accounts(8)
    usd = [id_ for number, id_ in enumerate(ids) if number % 4 < 2]
    submit(*random_commands(ids, 50))
    submit(Transfer(usd[0], usd[1], POISON))
    submit(*random_commands(ids, 50, seed=2))
    submit(Deposit(usd[0], Decimal(5)), Deposit(usd[1], Decimal(5)))
    order_everything()
    return usd
