"""What others may ask the event store: the API, the portal and the commands that read.

Answers are envelopes, their texts opened, or plain values; the SQL behind them is in `ledger.store.history`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.bus.envelope import to_envelope
from ledger.domain.account import Account, from_state
from ledger.domain.errors import AccountNotFound, Unknown
from ledger.domain.instants import format_instant
from ledger.store import history, refusals
from ledger.store.journal import Sequenced
from ledger.store.proofs import EventNotFound
from ledger.store.recorded import event_id_of
from ledger.subjects.texts import open_all, open_envelopes

head_version = history.head_version
backlog = history.backlog
now = history.now
late_events = history.late_events
_is_asking = False


class AccountNotFoundAt(Unknown):
    """The account exists now and did not yet at that instant."""

    code = "account_not_found_at"


class VersionNotFound(Unknown):
    """The account exists and has not come to that version."""

    code = "version_not_found"


@dataclass(frozen=True, slots=True)
class EventsPage:
    """`total`: how many events there are under the same filter; `head_position`: the journal's when it was read."""

    events: list[dict[str, Any]]
    total: int
    head_position: int


@dataclass(frozen=True, slots=True)
class BalanceAt:
    """`head_position`: the journal's, read before the account."""

    account: Account
    version: int
    is_final: bool
    head_position: int


@dataclass(frozen=True, slots=True)
class RefusalsPage:
    """`total`: how many refusals there are under the same filters."""

    refusals: list[refusals.Refusal]
    total: int


def head_position() -> int:
    """Return the journal's last position; 0 when it is empty."""
    return history.count_events(None, None)


def events(after: int, limit: int, aggregate_id: str | None = None, event_type: str | None = None) -> EventsPage:
    """Return envelopes in position order from `after` + 1. The head is read first: the page is true for it."""
    head = head_position()
    found = open_envelopes([to_envelope(s) for s in history.sequenced_events(after, limit, aggregate_id, event_type)])
    is_filtered = aggregate_id is not None or event_type is not None
    return EventsPage(found, history.count_events(aggregate_id, event_type) if is_filtered else head, head)


def event(event_id: UUID) -> dict[str, Any]:
    """Return one envelope; position and running_hash are None until the relay has ordered it.

    **Raises** EventNotFound.
    """
    found = history.find_event(event_id)
    if found is None:
        raise EventNotFound(f"event {event_id} does not exist", event_id=str(event_id))
    recorded, position, running_hash = found
    metadata = recorded.metadata
    command = (UUID(metadata["command_id"]), metadata["command_index"], metadata["command_size"])
    (envelope,) = open_envelopes([to_envelope(Sequenced(recorded, position or 0, *command, running_hash or b""))])
    return envelope if position else {**envelope, "position": None, "running_hash": None}


def balance_at(account_id: str, instant: datetime) -> BalanceAt:
    """Return an account as of an instant, by recorded_at.

    **Raises** AccountNotFound, or AccountNotFoundAt when it was created later.
    """
    state = history.state_at(account_id, instant)
    if found := _balance(state):
        return found
    if history.head_version(account_id):
        at = format_instant(instant)
        detail = f"account {account_id} did not exist at {at}"
        raise AccountNotFoundAt(detail, account_id=account_id, at=at, final=state.is_final)
    raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)


async def balance_at_in_loop(account_id: str, instant: datetime) -> BalanceAt | None:
    """Return the same without a thread; None when it takes one: no connection is free, or there is nothing to show.

    One at a time, because a pool's connections are for those who wait for them.
    """
    global _is_asking
    if _is_asking:
        return None
    _is_asking = True
    try:
        state = await history.state_at_in_loop(account_id, instant)
    finally:
        _is_asking = False
    return None if state is None else _balance(state)


def _balance(state: history.StateAt) -> BalanceAt | None:
    event = state.event
    if event is None:
        return None
    return BalanceAt(from_state(event.state), event.version, state.is_final, state.head_position)


def refused(limit: int, after: UUID | None, filters: refusals.Filters) -> RefusalsPage | None:
    """Return refused commands, newest first. `after`: the last one of the page before; None when there is no such."""
    before = None
    if after is not None:
        recorded_at = refusals.recorded_at(after)
        if recorded_at is None:
            return None
        before = (recorded_at, after)
    found = refusals.newest(limit, before, filters)
    opened = open_all([refusal.command for refusal in found])
    page = [refusal._replace(command=command) for refusal, command in zip(found, opened, strict=True)]
    return RefusalsPage(page, refusals.count(filters))


def command_exists(command_id: UUID) -> bool:
    """Return whether a command with this id was accepted: one probe for its first event."""
    return history.find_event(event_id_of(command_id, 0)) is not None
