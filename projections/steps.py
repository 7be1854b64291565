"""One account's past, step by step: the event that made a balance so, the one before it and the one after.

Read from the event store itself, by index probes: an account with a million events costs as much as a new one.
Texts are opened, or erased: the past shows what may be read today.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.domain import aggregates
from ledger.domain.errors import AccountNotFound, InvalidAccountId
from ledger.selectors import VersionNotFound
from ledger.store import history
from ledger.store.recorded import RecordedEvent
from ledger.subjects.texts import open_recorded


@dataclass(frozen=True, slots=True)
class Step:
    """`event` is None before the account's first. `is_final`: no later look will find another."""

    event: RecordedEvent | None
    before: RecordedEvent | None
    after: RecordedEvent | None
    is_final: bool


def step_at(account_id: str, instant: datetime) -> Step:
    """Return where an account stood at an instant, by recorded_at, to the microsecond.

    Raises: InvalidAccountId, AccountNotFound.
    """
    _check_is_account(account_id)
    found = history.state_at(account_id, instant)
    version = found.event.version if found.event else 0
    if not version:
        check_exists(account_id)
    around = history.events_of(account_id, [version - 1, version + 1])
    return _step(found.event, around, version, is_final=found.is_final)


def step_to(account_id: str, version: int) -> Step:
    """Return where an account stood at a version, 0 being before its first; an event that is there never changes.

    Raises: InvalidAccountId, AccountNotFound; VersionNotFound when it has not come so far.
    """
    _check_is_account(account_id)
    around = history.events_of(account_id, [version - 1, version, version + 1])
    event = around.get(version)
    if event is None:
        check_exists(account_id, version)
    return _step(event, around, version, is_final=True)


def check_exists(account_id: str, version: int = 0) -> None:
    """Raises: InvalidAccountId, AccountNotFound; VersionNotFound when the account has not come to that version."""
    _check_is_account(account_id)
    reached = history.head_version(account_id)
    if not reached:
        raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
    if version > reached:
        detail = f"account {account_id} is at version {reached}, it has no version {version}"
        raise VersionNotFound(detail, account_id=account_id, version=reached)


def _check_is_account(account_id: str) -> None:
    """Transfers in steps, reversals and the log's keys have histories too, but no balance to travel to."""
    if aggregates.of_id(account_id) is not aggregates.ACCOUNT:
        raise InvalidAccountId(f"{account_id} is no account, so it has no balance", field="account_id")


def _step(event: RecordedEvent | None, around: dict[int, RecordedEvent], version: int, *, is_final: bool) -> Step:
    found = {version - 1: around.get(version - 1), version: event, version + 1: around.get(version + 1)}
    there = [event for event in found.values() if event is not None]
    opened = {event.version: event for event in open_recorded(there)}
    return Step(opened.get(version), opened.get(version - 1), opened.get(version + 1), is_final)
