"""Histories for the read side's figures, made by real commands, many to a call, and ordered as the relay does."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from chronicle.bench.spine import run
from ledger.domain.commands import Transfer
from ledger.store import journal
from ledger.store.connection import dedicated_connection

CALL = 5_000  # commands
# Invoices repeat their texts; a text of its own for every event would make search the whole measurement.
TEXTS = 1_000


def transfers(ids: Sequence[str], events: int) -> None:
    """Let money go round the accounts until so many events have come of it."""
    for start in range(0, events // 2, CALL):
        numbers = range(start, min(start + CALL, events // 2))
        run(
            Transfer(ids[n % len(ids)], ids[(n + 1) % len(ids)], Decimal(1), f"invoice {n % TEXTS}") for n in numbers
        )  # fmt: skip


def order() -> int:
    """Move everything into the journal and return its head."""
    with dedicated_connection() as connection:
        while journal.sequence(connection, None).events:
            pass
    return journal.head().position
