"""Checkpoints: how far each projection is, and the statements that read and move them.

A checkpoint moves in the transaction that changes the rows, only forward, and only from where the projector
left it: a second projector that should not be there changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import psycopg

from projections.connection import Connection
from projections.lag import Percentiles
from projections.projection import Cursor, Projection
from projections.source import NO_HASH, Sequenced

READ = "SELECT position, running_hash, version, revision FROM checkpoints WHERE projection = %s"
INSERT = """
INSERT INTO checkpoints (projection, version, position, running_hash, lag_ms, lag_p50_ms, lag_p95_ms, lag_p99_ms,
                         alarm, revision, updated_at)
VALUES (%s, %s, 0, %s, 0, 0, 0, 0, '', 0, clock_timestamp()) ON CONFLICT DO NOTHING
"""
# Of history older than 24 days, which a rebuild reads, the lag is more milliseconds than an integer holds.
# A count that is not the expected one is a division by zero, so that the server itself refuses to commit: the
# client would have to wait for the count first, which costs a round trip.
ADVANCE = """
WITH moved AS (
UPDATE checkpoints SET position = %s, running_hash = %s, alarm = '', updated_at = clock_timestamp(),
    lag_ms = greatest(0, least(2147483647, extract(epoch FROM clock_timestamp() - %s::timestamptz) * 1000))::int,
    lag_p50_ms = %s, lag_p95_ms = %s, lag_p99_ms = %s
FROM unnest(%b::text[], %b::bigint[]) AS known (projection, revision)
WHERE checkpoints.projection = known.projection AND checkpoints.revision = known.revision
  AND checkpoints.position = %s
RETURNING 1
) SELECT 1 / (count(*) = %s)::int FROM moved
"""
REVISIONS = "SELECT projection, revision FROM checkpoints"
LOCK = "SELECT 1 FROM checkpoints WHERE projection = %s FOR UPDATE"
REVISE = "UPDATE checkpoints SET revision = revision + 1 WHERE projection = %s"
ALARM = "UPDATE checkpoints SET alarm = %s, updated_at = clock_timestamp() WHERE projection = %s AND alarm <> %s"
TELL_LAG = """
UPDATE checkpoints SET lag_p50_ms = %(p50_ms)s, lag_p95_ms = %(p95_ms)s, lag_p99_ms = %(p99_ms)s
WHERE projection = ANY(%(projections)s)
  AND (lag_p50_ms, lag_p95_ms, lag_p99_ms) IS DISTINCT FROM (%(p50_ms)s, %(p95_ms)s, %(p99_ms)s)
"""


@dataclass(slots=True)
class Checkpoint:
    """One projection's place. `blocked`: aggregates that have a parked event, with its position."""

    projection: Projection
    position: int
    running_hash: bytes
    version: int
    revision: int
    blocked: dict[str, int] = field(default_factory=dict)


class Superseded(Exception):
    """Somebody else has moved a checkpoint or changed the rows: let go and start from what the tables say."""


def load(connection: Connection, projection: Projection) -> Checkpoint:
    """Return a projection's checkpoint, made at position 0 when there is none."""
    connection.execute(INSERT, (projection.name, projection.version, NO_HASH))
    row = connection.execute(READ, (projection.name,)).fetchone()
    assert row is not None, "the row was just made"
    return Checkpoint(projection, *row)


def advance(cursor: Cursor, checkpoints: Sequence[Checkpoint], events: Sequence[Sequenced], lag: Percentiles) -> None:
    """Move checkpoints that stand right before these events to the last of them. Use inside `fenced`."""
    before, last = events[0].position - 1, events[-1]
    assert len({c.position for c in checkpoints}) == 1, "checkpoints that move together stand together"
    cursor.execute(
        ADVANCE,
        (
            last.position, last.running_hash, last.event.recorded_at, lag.p50_ms, lag.p95_ms, lag.p99_ms,
            [c.projection.name for c in checkpoints], [c.revision for c in checkpoints], before, len(checkpoints),
        ),
    )  # fmt: skip


@contextmanager
def fenced(checkpoints: Sequence[Checkpoint]) -> Iterator[None]:
    """Raises: Superseded when one of the checkpoints was not where this projector left it."""
    try:
        yield
    except psycopg.errors.DivisionByZero as error:
        names = ", ".join(c.projection.name for c in checkpoints)
        raise Superseded(f"a checkpoint of {names} is not where this projector left it") from error


def check_revisions(connection: Connection, checkpoints: Sequence[Checkpoint]) -> None:
    """Raises: Superseded when a checkpoint is gone, or somebody else changed the rows under one."""
    revisions = dict(connection.execute(REVISIONS).fetchall())
    for checkpoint in checkpoints:
        if revisions.get(checkpoint.projection.name) != checkpoint.revision:
            raise Superseded(f"the rows of {checkpoint.projection.name} were changed by someone else")


def tell_lag(connection: Connection, checkpoints: Sequence[Checkpoint], lag: Percentiles) -> None:
    """Say how late the last batches were. **Why** `advance` cannot: it goes out before its own batch is visible."""
    connection.execute(TELL_LAG, {**asdict(lag), "projections": [c.projection.name for c in checkpoints]})


def raise_alarm(connection: Connection, checkpoint: Checkpoint, reason: str) -> None:
    connection.execute(ALARM, (reason, checkpoint.projection.name, reason))
