"""An account from its first event to its last, from the event store itself: two probes, and never behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger import selectors
from ledger.domain.account import Account, from_state
from ledger.models import JournalEntry
from ledger.store import history
from ledger.store.recorded import RecordedEvent
from ledger.subjects.texts import open_recorded

SPAN_MIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Life:
    account_id: str
    first: RecordedEvent
    last: RecordedEvent

    @property
    def versions(self) -> int:
        return self.last.version

    @property
    def end(self) -> datetime:
        """The instant of the last event, and never that of the first: what spans a life has a length."""
        return max(self.last.recorded_at, self.first.recorded_at + SPAN_MIN)

    @property
    def state(self) -> Account:
        return from_state(self.last.state)


def life_of(account_id: str) -> Life | None:
    """Return an account's first and last event, or None when there is no such account. Raises: StoreUnavailable."""
    version = selectors.head_version(account_id)
    if not version:
        return None
    ends = history.events_of(account_id, [1, version])
    return Life(account_id, *open_recorded([ends[1], ends[version]]))


def positions_of(aggregate_id: str, versions: list[int]) -> dict[int, int]:
    """Return the places in the journal of an aggregate's events at these versions, of those that have one yet."""
    entries = JournalEntry.objects.filter(aggregate_id=aggregate_id, version__in=versions)
    return dict(entries.values_list("version", "position"))
