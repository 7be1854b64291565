"""Brings a second set of a projection's tables level with the live one: catches it up, and holds the live checkpoint.

Whoever holds it holds up the projector, so it is held for the last events only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from projections import checkpoints as places
from projections import parking, source
from projections.applying import apply_batch, with_statements
from projections.checkpoints import Checkpoint
from projections.connection import Connection, read_model_connection
from projections.intake import Intake
from projections.lag import Percentiles
from projections.projection import Projection
from projections.shadow import Shadow

BATCH_MAX = 2_000  # events in one transaction, as the projector's
# So few events are caught up while the live checkpoint is held, some 10 ms of work.
GAP_AT_SWITCH_MAX = 500
NO_LAG = Percentiles()

Progress = Callable[[int, int], None]  # (position, up to)


def target(connection: Connection, projection: Projection) -> int:
    """Where to build to: the live checkpoint; the journal's head when that one stands still."""
    live = connection.execute(
        "SELECT position, version, alarm FROM public.checkpoints WHERE projection = %s", (projection.name,)
    ).fetchone()
    is_moving = live is not None and live[1] == projection.version and not live[2] and live[0]
    return int(live[0]) if is_moving and live else source.head_position()


def entered(connection: Connection, shadow: Shadow) -> Checkpoint:
    shadow.enter(connection)
    checkpoint = places.load(connection, shadow.projection)
    checkpoint.blocked = parking.blocked_aggregates(connection, shadow.projection)
    return checkpoint


def catch_up(connection: Connection, checkpoint: Checkpoint, up_to: int, progress: Progress) -> None:
    intake = Intake(checkpoint.position, checkpoint.running_hash)
    batches = source.batches(intake, up_to, BATCH_MAX)
    for batch, made in with_statements([checkpoint], batches, lambda: NO_LAG):
        apply_batch(connection, [checkpoint], batch, NO_LAG, made)
        progress(checkpoint.position, up_to)


def come_near(connection: Connection, checkpoint: Checkpoint) -> None:
    """Catch up until what is left can be done while the live checkpoint is held."""
    projection = checkpoint.projection
    if checkpoint.version == projection.version:
        while target(connection, projection) - checkpoint.position > GAP_AT_SWITCH_MAX:
            catch_up(connection, checkpoint, target(connection, projection), lambda *_: None)


def come_level(connection: Connection, checkpoint: Checkpoint) -> None:
    """Bring a set to where the live one is held, if this code may."""
    projection = checkpoint.projection
    if checkpoint.version == projection.version:
        catch_up(connection, checkpoint, target(connection, projection), lambda *_: None)


def hold(connection: Connection, projection: Projection) -> None:
    """Within a transaction: keep the live checkpoint where it is until it ends."""
    connection.execute("SELECT 1 FROM public.checkpoints WHERE projection = %s FOR UPDATE", (projection.name,))


@contextmanager
def held(projection: Projection) -> Iterator[None]:
    """Keep the live checkpoint where it is, from a connection of its own."""
    with read_model_connection() as holder, holder.transaction():
        hold(holder, projection)
        yield


def live_revision(connection: Connection, projection: Projection) -> int | None:
    row = connection.execute(
        "SELECT revision FROM public.checkpoints WHERE projection = %s", (projection.name,)
    ).fetchone()
    return row[0] if row else None
