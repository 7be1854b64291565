"""Applies a batch to projections: rows and checkpoints in one transaction, and what cannot be applied is parked.

The usual batch is one pipelined transaction of a few statements per projection. When one of them fails on an
event, the batch is done again in a slower way that finds that event and parks it.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from projections import checkpoints as places
from projections import parking
from projections.checkpoints import Checkpoint
from projections.connection import Connection
from projections.lag import Percentiles
from projections.projection import Batch
from projections.source import Sequenced

log = structlog.get_logger()


def apply_batch(connection: Connection, checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles) -> None:
    """Apply whole commands to projections that stand right before them, and move their checkpoints.

    Raises: Superseded when a checkpoint is not where this projector left it; nothing is written then.
    """
    events = batch.recorded
    assert events[0].position == checkpoints[0].position + 1, "a batch begins right after the checkpoint"
    if any(checkpoint.blocked for checkpoint in checkpoints):
        _apply_or_park(connection, checkpoints, events, lag)
    else:
        try:
            _apply_all(connection, checkpoints, batch, lag)
        except parking.POISON as error:
            log.warning("a batch cannot be applied, looking for the event", error=str(error), after=events[0].position)
            _apply_or_park(connection, checkpoints, events, lag)
    for checkpoint in checkpoints:
        checkpoint.position, checkpoint.running_hash = events[-1].position, events[-1].running_hash


def _apply_all(connection: Connection, checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles) -> None:
    with places.fenced(checkpoints), connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
        for checkpoint in checkpoints:
            checkpoint.projection.apply(cursor, batch)
        places.advance(connection, checkpoints, batch.recorded[-1], lag)


def _apply_or_park(connection: Connection, checkpoints: Sequence[Checkpoint], events: Sequence[Sequenced],
                   lag: Percentiles) -> None:  # fmt: skip
    with places.fenced(checkpoints), connection.transaction(), connection.cursor() as cursor:
        blocked = [parking.apply_or_park(cursor, c.projection, events, c.blocked) for c in checkpoints]
        places.advance(connection, checkpoints, events[-1], lag)
    for checkpoint, aggregates in zip(checkpoints, blocked, strict=True):
        checkpoint.blocked = aggregates
