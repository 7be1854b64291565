"""A history with an event that a projection cannot digest, until the bug is mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ledger.domain.commands import Deposit, Transfer
from projections.projection import Batch, Cursor
from tests.read_world import open_accounts, order_everything, random_commands, read_model, submit

POISON = "poison"


@contextmanager
def poisonous(module: Any) -> Iterator[None]:
    """Give a projection a bug: it cannot take a withdrawal whose description says poison."""
    healthy, is_there = module.PROJECTION, True

    def apply(cursor: Cursor, batch: Batch) -> None:
        for sequenced in batch.events:
            event = sequenced.event
            if is_there and event.event_type == "MoneyWithdrawn" and event.data["description"] == POISON:
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
    submit(Transfer(usd[0], usd[1], Decimal(1), POISON))
    submit(*random_commands(ids, 50, seed=2))
    submit(Deposit(usd[0], Decimal(5)), Deposit(usd[1], Decimal(5)))
    order_everything()
    return usd
