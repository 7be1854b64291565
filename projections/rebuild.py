"""Rebuild: make a projection's tables again from position 1, beside the live ones, and switch in one transaction.

What is built survives an interruption: its checkpoint is in its schema, and the next call goes on from there.
The switch keeps the projector out of the live tables and their checkpoint, catches up the last events, and
renames; the old set is kept until it is dropped, and going back is the same switch the other way. A comparison holds
it only until both sets have come to one position, and counts in a snapshot of that moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from projections import level, source
from projections.checkpoints import Checkpoint
from projections.connection import Connection, try_lock
from projections.differences import Compared, Difference, compared
from projections.level import Progress
from projections.projection import Projection
from projections.shadow import KEPT_BESIDE, LIVE, Shadow

# The switch waits no longer for the tables, because whoever comes after it waits behind it; then it tries again.
LOCK_WAIT_S_MAX = 1
SWITCH_ATTEMPTS_MAX = 30
# How late the projector is does not go with the tables: what is built of old events was not shown late.
KEEP_LAG = """
UPDATE public.checkpoints AS now SET lag_ms = before.lag_ms, lag_p50_ms = before.lag_p50_ms,
    lag_p95_ms = before.lag_p95_ms, lag_p99_ms = before.lag_p99_ms, updated_at = before.updated_at
FROM {} AS before WHERE now.projection = %s AND before.projection = now.projection
"""

Show = Callable[[Difference], None]


class RebuildError(Exception):
    """What was asked for cannot be done now; the sentence says why, and nothing was changed."""


class NotEqual(RebuildError):
    """The rebuilt rows differ from the live ones, and that was not to be accepted."""


@dataclass(frozen=True, slots=True)
class Switched:
    position: int
    parked: int
    differences: list[Difference]


def build(connection: Connection, projection: Projection, progress: Progress) -> Checkpoint:
    """Build beside the live tables up to where they stand, or go on with what was begun, and return its place.

    Raises: RebuildError when another rebuild of it runs; ChainBroken, StoreUnavailable.
    """
    _claim(connection, projection)
    shadow = Shadow.building(projection)
    if shadow.exists(connection) and not _may_go_on(connection, shadow):
        shadow.drop(connection)
    if not shadow.exists(connection):
        shadow.create(connection)
    return _fill(connection, shadow, progress)


def compare(connection: Connection, projection: Projection) -> list[Difference]:
    """Return what would change if the built set went live now, and leave it where it is."""
    shadow = Shadow.building(projection)
    try:
        return compared(connection, shadow, level.entered(connection, shadow)).differences
    finally:
        connection.execute("SET search_path TO public")


def switch(connection: Connection, projection: Projection, *, show: Show | None = None,
           require_equal: bool = False) -> Switched:  # fmt: skip
    """Make the built set the live one, and keep the live one as the previous.

    `show` gets each table's differences before anything is switched; what goes live is what was compared and what both
    sets have applied since. Raises: NotEqual, when `require_equal` and a row differs; RebuildError when the tables were
    never free, or somebody else has changed the live rows after they were compared.
    """
    return _switch_when_free(connection, Shadow.building(projection), show, require_equal)


def go_back(connection: Connection, projection: Projection, progress: Progress) -> Switched:
    """Make the previous set the live one again, caught up if this version of the code can, and keep the other.

    It is the previous set until the switch is through, so whatever comes between, going back can be asked for again.
    Raises: RebuildError.
    """
    _claim(connection, projection)
    previous = Shadow.previous(projection)
    if not previous.exists(connection):
        raise RebuildError(f"no previous set of {projection.name} is kept")
    if _stored_version(connection, previous) == projection.version:
        if not _may_go_on(connection, previous):
            raise RebuildError(f"the previous set of {projection.name} was not built on this journal")
        _fill(connection, previous, progress)
    return _switch_when_free(connection, previous, None, require_equal=False)


def drop_previous(connection: Connection, projection: Projection) -> bool:
    """Drop the set that was live before the last switch; say whether there was one."""
    _claim(connection, projection)
    previous = Shadow.previous(projection)
    there = previous.exists(connection)
    previous.drop(connection)
    return there


def _claim(connection: Connection, projection: Projection) -> None:
    if not try_lock(connection, f"rebuild {projection.name}", end_silent=False):
        raise RebuildError(f"another rebuild of {projection.name} is running")


def _stored_version(connection: Connection, shadow: Shadow) -> int | None:
    row = connection.execute(sql.SQL("SELECT version FROM {}").format(shadow.table("checkpoints"))).fetchone()
    return int(row[0]) if row else None


def _may_go_on(connection: Connection, shadow: Shadow) -> bool:
    """Say whether what was begun was begun by this version of the code, on this journal."""
    query = sql.SQL("SELECT version, position, running_hash FROM {}").format(shadow.table("checkpoints"))
    row = connection.execute(query).fetchone()
    if row is None:
        return True  # begun, and nothing applied yet
    return row[0] == shadow.projection.version and source.running_hash_at(row[1]) == row[2]


def _fill(connection: Connection, shadow: Shadow, progress: Progress) -> Checkpoint:
    """Build a set on from where it is, to where the live one stands."""
    projection = shadow.projection
    checkpoint = level.entered(connection, shadow)
    target = level.target(connection, projection)
    while checkpoint.position < target:
        level.catch_up(connection, checkpoint, target, progress)
        shadow.create_indexes(connection)
        target = level.target(connection, projection)
    shadow.create_indexes(connection)
    for table in projection.tables:
        connection.execute(sql.SQL("ANALYZE {}").format(shadow.table(table)))
    return checkpoint


def _switch_when_free(connection: Connection, shadow: Shadow, show: Show | None, require_equal: bool) -> Switched:
    projection = shadow.projection
    seen: Compared | None = None
    for _ in range(SWITCH_ATTEMPTS_MAX):
        checkpoint = level.entered(connection, shadow)
        try:
            if seen is None and (show or require_equal):
                seen = compared(connection, shadow, checkpoint)
                _tell(seen.differences, show, require_equal)
            level.come_near(connection, checkpoint)
            with connection.transaction():
                return _switch(connection, shadow, checkpoint, seen)
        except psycopg.errors.LockNotAvailable:
            continue  # a long query reads the tables
        finally:
            connection.execute("SET search_path TO public")
    raise RebuildError(f"the tables of {projection.name} were never free for {LOCK_WAIT_S_MAX} s; try again")


def _tell(found: list[Difference], show: Show | None, require_equal: bool) -> None:
    """Raises: NotEqual."""
    if require_equal and any(found):
        raise NotEqual("; ".join(str(difference) for difference in found if difference))
    for difference in found:
        if show:
            show(difference)


def _switch(connection: Connection, shadow: Shadow, checkpoint: Checkpoint, seen: Compared | None) -> Switched:
    projection = shadow.projection
    connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S_MAX}s'")
    # The tables before the checkpoint, as a batch of the projector: the other way round the two end in a deadlock.
    Shadow(projection, LIVE).keep_writers_out(connection)
    level.hold(connection, projection)
    if seen and seen.revision != level.live_revision(connection, projection):
        raise RebuildError(
            f"somebody else has changed the rows of {projection.name} since they were compared; try again"
        )
    level.come_level(connection, checkpoint)
    if shadow == Shadow.previous(projection):
        building = Shadow.building(projection)
        building.drop(connection)
        shadow.rename(connection, building)
        shadow = building
    previous, live = Shadow.previous(projection), Shadow(projection, LIVE)
    previous.drop(connection)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(previous.schema)))
    previous.create_bookkeeping(connection)
    for table in projection.tables:
        live.move(connection, table, to=previous.schema)
        shadow.move(connection, table, to=LIVE)
    _exchange_bookkeeping(connection, previous, shadow)
    shadow.drop(connection)
    row = connection.execute(
        "SELECT count(*) FROM public.parked_events WHERE projection = %s", (projection.name,)
    ).fetchone()
    return Switched(checkpoint.position, row[0] if row else 0, seen.differences if seen else [])


def _exchange_bookkeeping(connection: Connection, previous: Shadow, built: Shadow) -> None:
    """Let checkpoint and parked events follow their tables; the projector notices by the revision."""
    name = built.projection.name
    revision = level.live_revision(connection, built.projection) or 0
    for table in KEPT_BESIDE:
        live = sql.Identifier(LIVE, table)
        for target, origin in ((previous.table(table), live), (live, built.table(table))):
            if target is live:
                connection.execute(sql.SQL("DELETE FROM {} WHERE projection = %s").format(live), (name,))
            connection.execute(_copy(table, target, origin), (name,))
    connection.execute("UPDATE public.checkpoints SET revision = %s WHERE projection = %s", (revision + 1, name))
    connection.execute(sql.SQL(KEEP_LAG).format(previous.table("checkpoints")), (name,))


def _copy(table: str, target: sql.Composable, origin: sql.Composable) -> sql.Composed:
    columns = sql.SQL(KEPT_BESIDE[table])
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE projection = %s").format(
        target, columns, columns, origin
    )
