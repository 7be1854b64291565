"""A transfer in steps by its rules: what each step leads to, and that there is no step after the end."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ledger.domain import aggregates
from ledger.domain.commands import FailTransfer, SettleTransfer, StartTransfer
from ledger.domain.events import (
    FundsHeld,
    HoldCaptured,
    HoldReleased,
    MoneyDeposited,
    TransferCompleted,
    TransferFailed,
    TransferStarted,
)
from ledger.domain.transfer import Transfer, evolve
from tests.domain_books import BOOKS, OPENED, events_of


def test_starting_reserves_on_the_source_and_leaves_the_target_alone() -> None:
    assert events_of(StartTransfer("ann", "bob", Decimal(5), "rent")) == [
        ("transfer:c-1", TransferStarted("c-1", "ann", "bob", 500, "USD", "rent")),
        ("ann", FundsHeld("transfer:c-1", 500, "USD", "rent", None)),
    ]


def test_settling_moves_the_reserved_money_and_completes_in_one_command() -> None:
    assert events_of(SettleTransfer("t-1", "saga", "bob")) == [
        ("saga", HoldCaptured("transfer:t-1", 4_000, 0, "USD", "bob", "rent", "t-1")),
        ("bob", MoneyDeposited(4_000, "USD", "saga", "rent", "t-1")),
        ("transfer:t-1", TransferCompleted("t-1")),
    ]


def test_failing_sets_the_money_free_and_says_why() -> None:
    assert events_of(FailTransfer("t-1", "saga", "account_frozen", "account bob is frozen")) == [
        ("saga", HoldReleased("transfer:t-1", 4_000, "account_frozen")),
        ("transfer:t-1", TransferFailed("t-1", "account_frozen", "account bob is frozen")),
    ]


def test_its_states_follow_from_its_events() -> None:
    started = evolve(None, TransferStarted("t-1", "ann", "bob", 500, "USD", "rent"), OPENED)
    assert started == Transfer("ann", "bob", 500, "USD", "rent", "started", "")
    assert evolve(started, TransferCompleted("t-1"), OPENED).status == "completed"
    failed = evolve(started, TransferFailed("t-1", "account_frozen", ""), OPENED)
    assert (failed.status, failed.failure) == ("failed", "account_frozen")
    with pytest.raises(AssertionError, match="ends once"):
        evolve(failed, TransferCompleted("t-1"), OPENED)


@pytest.mark.parametrize("id_", ["transfer:t-1", "transfer:t-lost", "reversal:part", "ann"])
def test_every_type_of_aggregate_is_read_as_it_was_written(id_: str) -> None:
    aggregate = aggregates.of_id(id_)
    assert aggregate.read(aggregate.write(BOOKS[id_])) == BOOKS[id_]
    assert aggregates.BY_TYPE[aggregate.type] is aggregate
