"""The types of aggregates there are, and which one an id belongs to.

An account's id is whatever its owner chose; every other type has a prefix of its own, which no account's id
may begin with. So an id alone tells how its state is read, written and evolved, on the write side as in
verification, and one command may name aggregates of several types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ledger.domain import account, log_keys, reversal, transfer
from ledger.domain.account import Account
from ledger.domain.events import LOG, REVERSAL, TRANSFER, Event
from ledger.domain.log_keys import LogKeys
from ledger.domain.reversal import Reversal
from ledger.domain.transfer import Transfer

State = Account | Reversal | Transfer | LogKeys


class Aggregate(NamedTuple):
    """How the state of one type of aggregate is read and written, and how an event changes it."""

    type: str
    read: Callable[[dict[str, Any]], Any]
    write: Callable[[Any], dict[str, Any]]
    evolve: Callable[[Any, Event, str], Any]


ACCOUNT = Aggregate(account.AGGREGATE_TYPE, account.from_state, account.to_state, account.evolve)
_BY_PREFIX = {
    REVERSAL: Aggregate(reversal.AGGREGATE_TYPE, reversal.from_state, reversal.to_state, reversal.evolve),
    TRANSFER: Aggregate(transfer.AGGREGATE_TYPE, transfer.from_state, transfer.to_state, transfer.evolve),
    LOG: Aggregate(log_keys.AGGREGATE_TYPE, log_keys.from_state, log_keys.to_state, log_keys.evolve),
}
_PREFIXES = tuple(_BY_PREFIX)
BY_TYPE = {aggregate.type: aggregate for aggregate in (ACCOUNT, *_BY_PREFIX.values())}


def of_id(aggregate_id: str) -> Aggregate:
    """Return the type of the aggregate that has this id, whether it exists or not."""
    if aggregate_id.startswith(_PREFIXES):
        return _BY_PREFIX[aggregate_id[: aggregate_id.index(":") + 1]]
    return ACCOUNT


def read_state(aggregate_id: str, state: dict[str, Any]) -> State:
    """Return the state that is stored with an event of this aggregate."""
    read: State = of_id(aggregate_id).read(state)
    return read
