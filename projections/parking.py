"""Parked events: what a projection could not apply waits here for a person, and everything else goes on.

The whole command parks, so that a transfer is never half visible. The aggregate of the event that failed is
blocked: later commands on it park behind it, in order. The command's other aggregates go on, since projections
add up in any order (see `projection`); blocking them too would spread from account to account.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import psycopg
import structlog

from projections.checkpoints import LOCK, REVISE
from projections.connection import Connection
from projections.projection import Batch, Projection, columns
from projections.shadow import LIVE, Shadow
from projections.source import Sequenced, read_at

log = structlog.get_logger()
# What an event can do to a projection. Anything else (a lost connection, a missing table) is not the event's fault.
POISON = (
    psycopg.DataError, psycopg.IntegrityError,
    ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip
REASON_LENGTH_MAX = 2_000
# One retry is one transaction that the projector waits for; what is left is for the next.
RETRY_MAX = 10_000

INSERT = """
INSERT INTO parked_events (projection, position, event_id, aggregate_id, event_type, command_id, is_cause, reason,
                           attempts, parked_at)
SELECT *, clock_timestamp() FROM unnest(%b::text[], %b::bigint[], %b::uuid[], %b::text[], %b::text[], %b::uuid[],
                                        %b::bool[], %b::text[], %b::int4[])
"""
BLOCKED = """
SELECT aggregate_id, min(position) FROM parked_events WHERE projection = %s AND is_cause GROUP BY aggregate_id
"""
TAKE = """
DELETE FROM parked_events WHERE parked_id IN (
    SELECT parked_id FROM parked_events WHERE projection = %s ORDER BY position LIMIT %s
) RETURNING position, attempts
"""
LEFT = "SELECT position FROM parked_events WHERE projection = %s"

Command = list[Sequenced]
Cursor = psycopg.Cursor[Any]


@dataclass(frozen=True, slots=True)
class Retried:
    applied: int
    still_parked: int


def blocked_aggregates(connection: Connection, projection: Projection) -> dict[str, int]:
    """Return the aggregates that have a parked event, with the position of the first."""
    return dict(connection.execute(BLOCKED, (projection.name,)).fetchall())


def apply_or_park(cursor: Cursor, projection: Projection, events: Sequence[Sequenced], blocked: dict[str, int],
                  attempts: dict[int, int] | None = None) -> dict[str, int]:  # fmt: skip
    """Apply what can be applied, park the rest, and return the aggregates that are blocked afterwards."""
    sorting = _Sorting(cursor, projection, dict(blocked), attempts or {})
    sorting.apply(commands_of(events))
    if sorting.parked:
        cursor.execute(INSERT, columns(sorting.parked))
    return sorting.blocked


def retry(connection: Connection, projection: Projection) -> Retried:
    """Try a projection's parked events again, oldest first, in one transaction that its projector waits for."""
    with connection.transaction(), connection.cursor() as cursor:
        # The tables before the checkpoint, as a batch of the projector: the other way round the two end in a deadlock.
        Shadow(projection, LIVE).keep_writers_out(connection)
        cursor.execute(LOCK, (projection.name,))
        attempts = dict(cursor.execute(TAKE, (projection.name, RETRY_MAX)).fetchall())
        if attempts:
            events = [_event_at(position) for position in sorted(attempts)]
            apply_or_park(cursor, projection, events, {}, attempts)
            cursor.execute(REVISE, (projection.name,))
        left = {row[0] for row in cursor.execute(LEFT, (projection.name,))}
    return Retried(len(attempts.keys() - left), len(left))


def commands_of(events: Iterable[Sequenced]) -> list[Command]:
    return [list(command) for _, command in groupby(events, key=lambda s: s.command_id)]


def _event_at(position: int) -> Sequenced:
    sequenced = read_at(position)
    assert sequenced is not None, "a parked event is in the journal"
    return sequenced


@dataclass
class _Sorting:
    """One batch being sorted into what is applied and what is parked."""

    cursor: Cursor
    projection: Projection
    blocked: dict[str, int]
    attempts: dict[int, int]
    parked: list[tuple[object, ...]] = field(default_factory=list)

    def apply(self, commands: Sequence[Command]) -> None:
        free = [command for command in commands if not self._waits(command)]
        error = self._failure(free)
        if error is None:
            return
        if len(free) == 1:
            self._park_failed(free[0], error)
            return
        middle = len(free) // 2
        self.apply(free[:middle])
        self.apply(free[middle:])

    def _waits(self, command: Command) -> bool:
        """Park a command behind the event that blocks one of its aggregates."""
        behind = [self.blocked[s.event.aggregate_id] for s in command if s.event.aggregate_id in self.blocked]
        if not behind:
            return False
        self._park(command, set(), f"waits for event {min(behind)}, which is parked")
        return True

    def _park_failed(self, command: Command, error: Exception) -> None:
        # One whose event fails alone is the cause; when none does, it is all of them together.
        alone = {s.position for s in command if self._failure([[s]], keep=False)}
        causes = alone or {s.position for s in command}
        for sequenced in command:
            if sequenced.position in causes:
                self.blocked.setdefault(sequenced.event.aggregate_id, sequenced.position)
        reason = f"{type(error).__name__}: {in_words(error)}"[:REASON_LENGTH_MAX]
        log.error("alarm: event parked", projection=self.projection.name, positions=sorted(causes), error=reason)
        self._park(command, causes, reason)

    def _park(self, command: Command, causes: set[int], reason: str) -> None:
        for s in command:
            self.parked.append(
                (
                    self.projection.name, s.position, s.event.event_id, s.event.aggregate_id, s.event.event_type,
                    s.command_id, s.position in causes, reason, self.attempts.get(s.position, 0) + 1,
                )
            )  # fmt: skip

    def _failure(self, commands: Sequence[Command], *, keep: bool = True) -> Exception | None:
        """Apply commands in a savepoint and return what they failed with."""
        if not commands:
            return None
        try:
            with self.cursor.connection.transaction():
                self.projection.apply(self.cursor, Batch([s for command in commands for s in command]))
                if not keep:
                    raise psycopg.Rollback
        except POISON as error:
            return error
        return None


def in_words(error: Exception) -> str:
    """Return what an error says, without the row that a database tells with it: that would outlive an erasure."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error)
