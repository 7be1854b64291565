"""The comparison as a whole: one pass over the journal in windows of whole commands, then what is left at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from django.db import connections

from ledger.store import history, journal
from ledger.store.event_store import FINAL_AFTER
from ledger.subjects.texts import open_events
from projections import source
from projections.consistency.erased import Erasures
from projections.consistency.finding import Finding
from projections.consistency.fold import Fold, Step
from projections.consistency.lines import compare_lines
from projections.consistency.sums import compare_accounts, compare_days, compare_totals
from projections.consistency.texts import compare_entries, compare_texts
from projections.consistency.transfers import Transfers
from projections.models import Checkpoint, ParkedEvent
from projections.projection import registry
from projections.selectors import ALIAS, snapshot
from projections.source import Sequenced
from projections.steps import check_exists

BATCH = 1_000
END = 2**62 - 1  # after every position; twice as much, plus one, is still a posting's key
EARLIEST = datetime.min.replace(tzinfo=UTC) + FINAL_AFTER
Progress = Callable[[int, int], None]


def check(progress: Progress, account_id: str | None = None, since: datetime | None = None) -> Iterator[Finding]:
    """Yield every difference. `account_id`: only this one's rows. `since`: only what was recorded from then on.

    Raises: InvalidAccountId, AccountNotFound.
    """
    if account_id is not None:
        check_exists(account_id)
    tables = [table for projection in registry() for table in projection.tables]
    with snapshot(*tables), connections[ALIAS].cursor() as cursor:
        standing = {c.projection: c.position for c in Checkpoint.objects.all()}
        up_to = min((standing.get(projection.name, 0) for projection in registry()), default=0)
        ahead = [Finding(name, "position", up_to, at) for name, at in sorted(standing.items()) if at != up_to]
        yield from ahead
        waiting = ParkedEvent.objects.order_by("projection", "position")
        if account_id is not None:
            waiting = waiting.filter(aggregate_id=account_id)
        for parked in waiting.iterator():
            yield Finding(parked.projection, f"event {parked.position}", "applied", f"parked: {parked.reason}")
        after = 0 if since is None else _position_before(since, up_to)
        erasures = Erasures(up_to)
        with closing(Fold()) as fold, closing(Transfers(account_id)) as transfers:
            for events in _windows(after, up_to, account_id):
                # From the end of the one before: what stands between two of an account's events is not its.
                window = (after + 1, events[-1].position)
                yield from _compare_window(cursor, fold, transfers, erasures, events, window, account_id)
                after = events[-1].position
                progress(after, up_to)
            if not ahead:
                # Nothing happened after the last event, so no row may say that something did.
                yield from _compare_window(cursor, fold, transfers, erasures, [], (after + 1, END), account_id)
                progress(up_to, up_to)
            yield from transfers.finish(cursor)
            yield from compare_accounts(cursor, fold, account_id, is_whole=since is None and account_id is None)
            if since is None:
                yield from compare_days(cursor, fold, account_id)
            if since is None and account_id is None:
                yield from compare_totals(cursor, fold)
                yield from compare_entries(cursor)


def _compare_window(cursor: Any, fold: Fold, transfers: Transfers, erasures: Erasures, events: list[Sequenced],
                    window: tuple[int, int], account_id: str | None) -> Iterator[Finding]:  # fmt: skip
    steps = [
        step
        for _, command in groupby(open_events(events), key=lambda sequenced: sequenced.command_id)
        for step in _steps(fold, erasures, list(command))
    ]
    yield from compare_lines(cursor, steps, window, account_id)
    yield from transfers.take(cursor, events, steps, window)
    yield from compare_texts(cursor, steps, erasures, account_id)


def _steps(fold: Fold, erasures: Erasures, command: list[Sequenced]) -> list[Step]:
    """Evolve a command's events; their texts are what is left of them, for everybody who shares them."""
    steps = [step for sequenced in command if (step := fold.take(sequenced)) is not None]
    shared_by = {step.sequenced.event.aggregate_id for step in steps}
    shared_by |= {s.event.data["to_account_id"] for s in command if s.event.event_type == "TransferStarted"}
    return [
        step._replace(
            description=erasures.text(
                step.sequenced.event.data.get("description", ""), shared_by, step.sequenced.position
            )
        )
        for step in steps
    ]


def _windows(after: int, up_to: int, account_id: str | None) -> Iterator[list[Sequenced]]:
    """Yield whole commands in the order of the journal, about BATCH events at a time."""
    batches = source.read_range(after, up_to) if account_id is None else _commands_of(account_id, after, up_to)
    begun: list[Sequenced] = []
    for batch in batches:
        events = [*begun, *batch]
        last = events[-1]
        is_whole = last.command_index + 1 == last.command_size
        cut = len(events) if is_whole else len(events) - 1 - last.command_index
        window, begun = events[:cut], events[cut:]
        if window:
            yield window


def _commands_of(account_id: str, after: int, up_to: int) -> Iterable[list[Sequenced]]:
    """Yield the commands on an account, each with its events on other accounts."""
    while events := history.sequenced_events(after, BATCH, account_id, None):
        after = events[-1].position
        found: dict[int, Sequenced] = {}
        for sequenced in events:
            if sequenced.position <= up_to and sequenced.position not in found:
                first = sequenced.position - sequenced.command_index
                whole = [sequenced] if sequenced.command_size == 1 else journal.read(first - 1, sequenced.command_size)
                found |= {one.position: one for one in whole}
        if found:
            yield [found[position] for position in sorted(found)]


def _position_before(since: datetime, up_to: int) -> int:
    """Return a position before which nothing was recorded at or after an instant; found by halving."""
    low, high = 0, up_to
    since = max(since, EARLIEST) - FINAL_AFTER  # the journal's order is that of recorded_at but for what came late
    while low < high:
        middle = (low + high + 1) // 2
        sequenced = source.read_at(middle)
        low, high = (middle, high) if sequenced and sequenced.event.recorded_at < since else (low, middle - 1)
    last = source.read_at(low)
    return low - last.command_index - 1 if last and last.command_index + 1 < last.command_size else low
