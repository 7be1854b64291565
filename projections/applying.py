"""Applies a batch to projections: rows and checkpoints in one transaction, and what cannot be applied is parked.

The usual batch is one round trip of a few statements per projection, and a transaction of its own. When one of them
fails on an event, the batch is done again in a slower way that finds that event and parks it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from psycopg import pq

from ledger.store.rounds import Round
from ledger.subjects.connection import NotInMemory, from_memory
from projections import checkpoints as places
from projections import parking
from projections.checkpoints import Checkpoint
from projections.connection import Connection
from projections.lag import Percentiles
from projections.projection import Batch, Cursor
from projections.source import Sequenced, ahead

log = structlog.get_logger()
# How long a thread may keep Python's lock when another waits for it. The reader of a batch needs it a hundred times for
# moments, as its rows come in; with Python's own 5 ms it waited for most of what the makers of statements work (ADR 9).
TURN_S = 0.0005


def with_statements(checkpoints: Sequence[Checkpoint], batches: Iterable[Batch],
                    lag: Callable[[], Percentiles]) -> Iterator[tuple[Batch, Round | None]]:  # fmt: skip
    """Yield batches that follow one another, each with its statements, for `apply_batch`.

    **Why** they are made while the database carries out those of the batch before: one waited for the other for two
    fifths of a catch-up (ADR 9).
    """
    with _short_turns():
        yield from ahead((batch, _made(checkpoints, batch, lag())) for batch in batches)


@contextmanager
def _short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def apply_batch(connection: Connection, checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles,
                made: Round | None = None) -> None:  # fmt: skip
    """Apply whole commands to projections that stand right before them, and move their checkpoints.

    `made`: their statements, when they were made beforehand. Raises: Superseded when a checkpoint is not where this
    projector left it; nothing is written then.
    """
    events = batch.recorded
    assert events[0].position == checkpoints[0].position + 1, "a batch begins right after the checkpoint"
    if any(checkpoint.blocked for checkpoint in checkpoints):
        _apply_or_park(connection, checkpoints, events, lag)
    else:
        try:
            _apply_all(connection, checkpoints, batch, lag, made)
        except parking.POISON as error:
            words = parking.in_words(error)
            log.warning("a batch cannot be applied, looking for the event", error=words, after=events[0].position)
            _apply_or_park(connection, checkpoints, events, lag)
    _move(checkpoints, events[-1])


async def apply_in_loop(connection: Connection, checkpoints: Sequence[Checkpoint], batch: Batch,
                        lag: Percentiles) -> bool:  # fmt: skip
    """Apply a batch as `apply_batch` does, without a thread, when it is a usual one; else return False.

    Nothing is written then. Raises: Superseded. **Why** a key that is not at hand is for a thread too: the loop would
    stand still for as long as the portal's database does.
    """
    try:
        with from_memory():
            made = _made(checkpoints, batch, lag)
        if made is None:
            return False
        with places.fenced(checkpoints):
            await made.run_in_loop(connection)
    except (*parking.POISON, NotInMemory):
        return False  # whoever does it again says so
    _move(checkpoints, batch.recorded[-1])
    return True


def _move(checkpoints: Sequence[Checkpoint], last: Sequenced) -> None:
    for checkpoint in checkpoints:
        checkpoint.position, checkpoint.running_hash = last.position, last.running_hash


def _apply_all(connection: Connection, checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles,
               made: Round | None) -> None:  # fmt: skip
    with places.fenced(checkpoints):
        # An erasure asks the tables before it changes them; and what is part of a larger transaction (the switch of
        # a rebuild) needs a savepoint, which a round does not make.
        if batch.erasures or connection.info.transaction_status != pq.TransactionStatus.IDLE:
            with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
                _execute(cursor, checkpoints, batch, lag)
        else:
            (made or _round(checkpoints, batch, lag)).run(connection)


def _made(checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles) -> Round | None:
    """Return a batch's statements, unless something is special about it: then whoever applies it finds out what."""
    try:
        is_usual = not batch.erasures and not any(checkpoint.blocked for checkpoint in checkpoints)
        return _round(checkpoints, batch, lag) if is_usual else None
    except parking.POISON:
        return None


def _round(checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles) -> Round:
    statements = Round()
    _execute(statements, checkpoints, batch, lag)
    return statements


def _execute(cursor: Cursor, checkpoints: Sequence[Checkpoint], batch: Batch, lag: Percentiles) -> None:
    for checkpoint in checkpoints:
        checkpoint.projection.apply(cursor, batch)
    places.advance(cursor, checkpoints, batch.recorded, lag)


def _apply_or_park(connection: Connection, checkpoints: Sequence[Checkpoint], events: Sequence[Sequenced],
                   lag: Percentiles) -> None:  # fmt: skip
    with places.fenced(checkpoints), connection.transaction(), connection.cursor() as cursor:
        blocked = [parking.apply_or_park(cursor, c.projection, events, c.blocked) for c in checkpoints]
        places.advance(cursor, checkpoints, events, lag)
    for checkpoint, aggregates in zip(checkpoints, blocked, strict=True):
        checkpoint.blocked = aggregates
