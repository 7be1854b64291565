"""Checkpoints: how far each projection is, and the one transaction that moves rows and checkpoint together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import psycopg
from django.db import connections

from projections.projection import Projection
from projections.source import NO_HASH, Sequenced

ALIAS = "read_model"
CONNECT_S_MAX = 5

READ = "SELECT position, running_hash, version FROM checkpoints WHERE projection = %s"
INSERT = """
INSERT INTO checkpoints (projection, version, position, running_hash, lag_ms, alarm, updated_at)
VALUES (%s, %s, 0, %s, 0, '', clock_timestamp()) ON CONFLICT DO NOTHING
"""
# Only forward, and only from where the rows stand: a second projector that should not be there changes nothing.
ADVANCE = """
UPDATE checkpoints SET position = %s, running_hash = %s, alarm = '', updated_at = clock_timestamp(),
    lag_ms = greatest(0, extract(epoch FROM clock_timestamp() - %s) * 1000)::int
WHERE projection = %s AND position = %s
"""
ALARM = "UPDATE checkpoints SET alarm = %s, updated_at = clock_timestamp() WHERE projection = %s"


@dataclass(slots=True)
class Checkpoint:
    position: int
    running_hash: bytes


class Superseded(Exception):
    """Another projector has moved this checkpoint: this one must let go and start from the tables."""


@contextmanager
def dedicated_connection() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection of the projector's own to the read model, in autocommit mode."""
    wrapper = connections[ALIAS]
    parameters = wrapper.get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold", "client_encoding"):
        parameters.pop(django_only, None)
    with psycopg.connect(**parameters, autocommit=True, connect_timeout=CONNECT_S_MAX) as connection:
        yield connection


def try_lock(connection: psycopg.Connection[Any], name: str) -> bool:
    """Take the right to run a projection; it is this session's until the connection ends."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (crc32(f"projection {name}".encode()),)).fetchone()
    return bool(row and row[0])


def load(connection: psycopg.Connection[Any], projection: Projection) -> Checkpoint:
    connection.execute(INSERT, (projection.name, projection.version, NO_HASH))
    row = connection.execute(READ, (projection.name,)).fetchone()
    assert row is not None, "the row was just made"
    return Checkpoint(row[0], row[1])


def apply_batch(connection: psycopg.Connection[Any], checkpoints: dict[Projection, Checkpoint],
                events: Sequence[Sequenced]) -> None:  # fmt: skip
    """Apply whole commands to every projection that has not seen them, and move the checkpoints, in one transaction.

    Raises: Superseded when a checkpoint is not where this projector left it; nothing is written then.
    """
    last = events[-1]
    with connection.transaction(), connection.cursor() as cursor:
        for projection, checkpoint in checkpoints.items():
            unseen = [sequenced for sequenced in events if sequenced.position > checkpoint.position]
            if not unseen:
                continue
            projection.apply(cursor, unseen)
            cursor.execute(
                ADVANCE,
                (last.position, last.running_hash, last.event.recorded_at, projection.name, checkpoint.position),
            )
            if cursor.rowcount != 1:
                raise Superseded(f"the checkpoint of {projection.name} is no longer at {checkpoint.position}")
    for checkpoint in checkpoints.values():
        if checkpoint.position < last.position:
            checkpoint.position, checkpoint.running_hash = last.position, last.running_hash


def raise_alarm(connection: psycopg.Connection[Any], projections: Sequence[Projection], reason: str) -> None:
    for projection in projections:
        connection.execute(ALARM, (reason, projection.name))
