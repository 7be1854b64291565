"""Consistency: the read model against a fresh fold of the event store, in one snapshot, event by event.

The journal is read up to where the snapshot stands and every event is evolved anew, so neither the stored
`state` nor a projection's own code vouches for itself: what an event moved is what `evolve` did to the balance.
Held in memory are one state and one sum a day for each account, never the events. A running projector does
not disturb: the snapshot does not move.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import connections

from ledger.domain.account import AGGREGATE_TYPE, Account, evolve, from_state
from ledger.domain.events import from_data
from ledger.domain.instants import format_instant, parse_instant
from ledger.store import history
from ledger.store.event_store import FINAL_AFTER
from ledger.subjects.texts import open_all
from projections import source
from projections.models import Checkpoint, ParkedEvent
from projections.projection import registry
from projections.selectors import ALIAS, snapshot
from projections.source import Sequenced

BATCH = 1_000
ACCOUNT_COLUMNS = (
    "owner_name", "currency", "status", "balance_minor", "held_minor", "overdraft_limit_minor",
)  # fmt: skip
LINES = """
SELECT position, account_id, version, amount_minor, balance_minor FROM transactions
WHERE position BETWEEN %s AND %s AND (%s::text IS NULL OR account_id = %s)
"""
OWN_SIDES = """
SELECT position, account_id, amount_minor FROM postings
WHERE NOT is_external AND position BETWEEN %s AND %s AND (%s::text IS NULL OR account_id = %s)
"""
UNBALANCED = """
SELECT command_id::text, currency, sum(amount_minor)::text FROM postings
WHERE position BETWEEN %s AND %s GROUP BY 1, 2 HAVING sum(amount_minor) <> 0
"""
DAYS = """
SELECT account_id, day, (credits_minor - debits_minor)::text FROM daily_balances WHERE NOT is_external
"""
OPEN_HOLDS = "SELECT transfer_id, from_account_id, amount_minor, expires_at FROM transfers WHERE status = 'held'"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `expected`: what folding the events gives; `found`: what the read model holds."""

    projection: str
    key: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.projection}: {self.key}: expected {self.expected}, found {self.found}"


@dataclass
class _Fold:
    accounts: dict[str, Account] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    days: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    types: Counter[str] = field(default_factory=Counter)
    balanced_to: int = 0

    def take(self, sequenced: Sequenced) -> int:
        """Evolve one event and return what it changed the balance by."""
        event = sequenced.event
        before = self.accounts.get(event.aggregate_id)
        if before is None and event.version > 1:  # the fold began later than the account
            last = history.events_of(event.aggregate_id, [event.version - 1])[event.version - 1]
            before = from_state(last.state)
        domain_event = from_data(event.event_type, event.data, event.schema_version)
        after = evolve(before, domain_event, format_instant(event.effective_at))
        self.accounts[event.aggregate_id], self.versions[event.aggregate_id] = after, event.version
        moved = after.balance_minor - (before.balance_minor if before else 0)
        if moved:
            self.days[event.aggregate_id, event.effective_at.date()] += moved
        return moved


def check(progress: Progress, account_id: str | None = None, since: datetime | None = None) -> Iterator[Finding]:
    """Yield every difference. `account_id`: only this one's rows. `since`: only what was recorded from then on."""
    with snapshot(), connections[ALIAS].cursor() as cursor:
        standing = {c.projection: c.position for c in Checkpoint.objects.all()}
        up_to = min((standing.get(projection.name, 0) for projection in registry()), default=0)
        yield from (Finding(name, "position", up_to, at) for name, at in sorted(standing.items()) if at != up_to)
        for parked in ParkedEvent.objects.order_by("projection", "position").iterator():
            yield Finding(parked.projection, f"event {parked.position}", "applied", f"parked: {parked.reason}")
        after = 0 if since is None else _position_before(since, up_to)
        fold = _Fold(balanced_to=after)
        is_whole = since is None and account_id is None
        for events in _events(after, up_to, account_id):
            yield from _compare_lines(cursor, fold, events, account_id)
            progress(events[-1].position, up_to)
        yield from _compare_accounts(cursor, fold, is_whole=is_whole)
        yield from _compare_holds(cursor, fold, is_whole=is_whole)
        if is_whole:
            yield from _compare_sums(cursor, fold)


def _events(after: int, up_to: int, account_id: str | None) -> Iterator[Sequence[Sequenced]]:
    if account_id is None:
        yield from source.read_range(after, up_to)
        return
    while events := history.sequenced_events(after, BATCH, account_id, None):
        within = [s for s in events if s.position <= up_to]
        if within:
            yield within
        after = events[-1].position


def _position_before(since: datetime, up_to: int) -> int:
    """Return a position before which nothing was recorded at or after an instant; found by halving."""
    low, high = 0, up_to
    since -= FINAL_AFTER  # the journal's order is that of recorded_at but for what came late
    while low < high:
        middle = (low + high + 1) // 2
        sequenced = source.read_at(middle)
        low, high = (middle, high) if sequenced and sequenced.event.recorded_at < since else (low, middle - 1)
    return low


def _compare_lines(cursor: Any, fold: _Fold, events: Sequence[Sequenced], account_id: str | None) -> Iterator[Finding]:
    expected = {}
    for sequenced in events:
        event = sequenced.event
        fold.types[event.event_type] += 1
        if event.aggregate_type == AGGREGATE_TYPE and (moved := fold.take(sequenced)):
            balance_minor = fold.accounts[event.aggregate_id].balance_minor
            expected[sequenced.position] = (event.aggregate_id, event.version, moved, balance_minor)
    # An account's events do not lie together, and neither do its rows: the window is theirs.
    window = (events[0].position, events[-1].position)
    lines = {row[0]: row[1:] for row in _rows(cursor, LINES, (*window, account_id, account_id))}
    yield from _differences("transactions", "event", expected, lines)
    own_sides = {row[0]: row[1:] for row in _rows(cursor, OWN_SIDES, (*window, account_id, account_id))}
    yield from _differences("postings", "event", {p: (e[0], e[2]) for p, e in expected.items()}, own_sides)
    if account_id is None and events[-1].command_index + 1 == events[-1].command_size:
        # Whole commands only; what a window cut in two is looked at with the next.
        for command_id, currency, total in _rows(cursor, UNBALANCED, (fold.balanced_to + 1, events[-1].position)):
            yield Finding("postings", f"command {command_id} in {currency}", "0", total)
        fold.balanced_to = events[-1].position


def _compare_accounts(cursor: Any, fold: _Fold, *, is_whole: bool) -> Iterator[Finding]:
    query = f"SELECT account_id, version, {', '.join(ACCOUNT_COLUMNS)} FROM accounts"  # noqa: S608
    wanted = None if is_whole else list(fold.accounts)
    rows = _rows(cursor, query if wanted is None else query + " WHERE account_id = ANY(%s)", wanted and (wanted,))
    # What was recorded is sealed, what the read model holds is opened, or erased.
    names = _opened([account.owner_name for account in fold.accounts.values()])
    expected = {
        id_: (fold.versions[id_], name, *(getattr(account, column) for column in ACCOUNT_COLUMNS[1:]))
        for (id_, account), name in zip(fold.accounts.items(), names, strict=True)
    }
    yield from _differences("accounts", "account", expected, {row[0]: row[1:] for row in rows})


def _opened(names: list[str]) -> Iterator[str]:
    for start in range(0, len(names), BATCH):
        for opened in open_all([{"owner_name": name} for name in names[start : start + BATCH]]):
            yield opened["owner_name"]


def _compare_holds(cursor: Any, fold: _Fold, *, is_whole: bool) -> Iterator[Finding]:
    """Compare the open ones: those that accounts still have."""
    wanted = None if is_whole else list(fold.accounts)
    query = OPEN_HOLDS if wanted is None else OPEN_HOLDS + " AND from_account_id = ANY(%s)"
    expected = {
        hold_id: (id_, hold["amount_minor"], hold["expires_at"] and parse_instant(hold["expires_at"]))
        for id_, account in fold.accounts.items()
        for hold_id, hold in account.holds.items()
    }
    found = {row[0]: row[1:] for row in _rows(cursor, query, wanted and (wanted,))}
    yield from _differences("transfers", "open hold", expected, found)


def _compare_sums(cursor: Any, fold: _Fold) -> Iterator[Finding]:
    days = {(id_, day): int(minor) for id_, day, minor in _rows(cursor, DAYS) if int(minor)}
    yield from _differences("daily_balances", "day", {key: minor for key, minor in fold.days.items() if minor}, days)
    totals: dict[str, int] = defaultdict(int)
    for account in fold.accounts.values():
        totals[account.currency] += account.balance_minor
    trial = _rows(cursor, "SELECT currency, accounts_minor::text, external_minor::text FROM trial_balance")
    expected = {currency: (total, -total) for currency, total in totals.items() if total}
    found = {
        currency: (int(inside), int(outside)) for currency, inside, outside in trial if int(inside) or int(outside)
    }
    yield from _differences("trial_balance", "currency", expected, found)
    activity = dict(_rows(cursor, "SELECT event_type, sum(events)::int FROM activity GROUP BY 1"))
    yield from _differences("activity", "event type", dict(fold.types), activity)


def _differences(projection: str, what: str, expected: dict[Any, Any], found: dict[Any, Any]) -> Iterator[Finding]:
    for key in sorted(expected.keys() | found.keys(), key=str):
        if expected.get(key) != found.get(key):
            yield Finding(projection, f"{what} {key}", expected.get(key), found.get(key))


def _rows(cursor: Any, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    cursor.execute(query, parameters)
    return list(cursor.fetchall())
