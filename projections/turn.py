"""One projector's turn: where every projection stands, and what is done with the events that arrive.

Projections that stand together are `live` and move together. One that is behind (new, or rebuilt elsewhere) is
helped on from the journal, a slice between two batches, so that it costs the others little. One whose history
is not the journal's, or whose rows another version of the code made, stands still under an alarm, alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from ledger.store.rounds import Round
from projections import checkpoints as places
from projections import parking, source
from projections.applying import apply_batch, apply_in_loop, with_statements
from projections.checkpoints import Checkpoint
from projections.connection import Connection
from projections.intake import ChainBroken, Intake
from projections.lag import LagWindow
from projections.projection import Batch, Projection
from projections.source import Sequenced

log = structlog.get_logger()
BATCH_MAX = 2_000  # events in one transaction: some 100 ms, which is what a reader of a locked row waits
LIVE_MAX = 50  # events that are applied in the event loop's thread: some 5 ms in which nothing else is received
SLICE_MAX = 1_000  # events that a projection behind is helped on by at a time
# How often the journal is asked whether it still agrees: what is forged on the bus is alarmed within a second.
AUDIT_S = 0.5


class Turn:
    def __init__(self, connection: Connection, projections: Sequence[Projection], lag: LagWindow,
                 is_stopped: Callable[[], bool]) -> None:  # fmt: skip
        self._connection = connection
        self._lag = lag
        self._is_stopped = is_stopped
        self._all = [places.load(connection, projection) for projection in projections]
        standing = [checkpoint for checkpoint in self._all if self._may_move(checkpoint)]
        position = max((c.position for c in standing), default=0)
        self._live = [c for c in standing if c.position == position]
        self._behind = [c for c in standing if c.position < position]
        self._intake = Intake(position, self._live[0].running_hash if self._live else source.NO_HASH)
        self._audited_at = time.monotonic()
        self._is_cleared = False
        for checkpoint in standing:
            checkpoint.blocked = parking.blocked_aggregates(connection, checkpoint.projection)
        log.info("projector active", after=position, behind=[c.projection.name for c in self._behind])

    @property
    def position(self) -> int:
        """Where the live projections stand."""
        return self._intake.position

    @property
    def is_between_commands(self) -> bool:
        """Say whether nothing is held back that waits for the end of its command."""
        return self._intake.is_between_commands

    @property
    def is_behind(self) -> bool:
        return bool(self._behind)

    @property
    def is_due(self) -> bool:
        """Say whether `keep_up` has something to do."""
        return self.is_behind or time.monotonic() - self._audited_at >= AUDIT_S

    @property
    def stands_still(self) -> bool:
        """Say whether no projection may move; each has an alarm that says why."""
        return not self._live

    def take(self, arrived: Sequence[Sequenced]) -> None:
        """Apply what the bus brought; when that is nothing, or does not follow, ask the journal.

        Raises: Superseded, ChainBroken, StoreUnavailable.
        """
        if not arrived:
            self.catch_up()
            return
        events = self._intake.from_bus(arrived)
        if events is None:
            self._heal(arrived)
        else:
            self._store(events)

    async def take_in_loop(self, arrived: Sequence[Sequenced]) -> Callable[[], None] | None:
        """Do what `take` does for a few events as they come live, in the event loop's thread.

        **Why** the way to another thread and back costs as much as the work that these events are.
        Return what is left for a thread to do, if anything. Raises: Superseded.
        """
        if not 0 < len(arrived) <= min(LIVE_MAX, BATCH_MAX):
            return partial(self.take, arrived)
        events = self._intake.from_bus(arrived)
        if events is None:
            return partial(self._heal, arrived)
        if not events:
            return None
        if not await apply_in_loop(self._connection, self._live, Batch(events), self._lag.percentiles()):
            return partial(self._store, events)
        self._lag.note(events[0].event.recorded_at)
        return None

    def catch_up(self, at_least: int = 1) -> None:
        """Apply what the journal has and the bus did not bring, when that is so many events at least.

        Raises: StoreUnavailable, ChainBroken, Superseded.
        """
        head = source.head_position()
        if head - self.position >= at_least:
            log.info("catching up from the journal", after=self.position, up_to=head)
            self._intake.forget()
            self._follow_journal(head)
            if self.position < head and not self._is_stopped():
                raise ChainBroken(f"the journal's head is at {head}, and it ends at {self.position}")

    def keep_up(self) -> None:
        """What has to happen whatever arrives: help those behind, be heard from, ask the journal, tell the lag.

        Raises: Superseded, ChainBroken, StoreUnavailable.
        """
        if self._behind:
            self._help(self._behind[0])
        if time.monotonic() - self._audited_at < AUDIT_S:
            return
        self._audited_at = time.monotonic()
        places.check_revisions(self._connection, self._all)
        if source.running_hash_at(self.position) != self._intake.running_hash:
            raise ChainBroken(
                f"at position {self.position} the journal is not the history this read model was built on"
            )
        if lag := self._lag.measured():
            places.tell_lag(self._connection, self._live, lag)
        if not self._is_cleared:
            # Whatever stopped the turn before this one is mended. Not sooner, or an alarm would go on and off.
            for checkpoint in self._live:
                places.raise_alarm(self._connection, checkpoint, "")
            self._is_cleared = True

    def raise_alarm(self, reason: str) -> None:
        for checkpoint in self._live:
            places.raise_alarm(self._connection, checkpoint, reason)

    def _may_move(self, checkpoint: Checkpoint) -> bool:
        name, version = checkpoint.projection.name, checkpoint.projection.version
        if checkpoint.version != version:
            alarm = (
                f"its rows were made by version {checkpoint.version}, the code is {version}: rebuild_projection {name}"
            )
        elif source.running_hash_at(checkpoint.position) != checkpoint.running_hash:
            alarm = f"at position {checkpoint.position} the journal is not the history these rows were built on"
        else:
            return True
        self._stop(checkpoint, alarm)
        return False

    def _stop(self, checkpoint: Checkpoint, reason: str) -> None:
        log.error("alarm: projection stands still", projection=checkpoint.projection.name, reason=reason)
        places.raise_alarm(self._connection, checkpoint, reason)

    def _heal(self, arrived: Sequence[Sequenced]) -> None:
        up_to = max(s.position for s in arrived)
        log.warning("the bus does not bring what follows, reading the journal", after=self.position, up_to=up_to)
        self._follow_journal(up_to)

    def _follow_journal(self, up_to: int) -> None:
        # An intake of its own, because it may be ahead of what is stored.
        intake = Intake(self._intake.position, self._intake.running_hash)
        batches = source.batches(intake, up_to, BATCH_MAX)
        for batch, made in with_statements(self._live, batches, self._lag.percentiles):
            self._apply(batch, made)
            self._intake = Intake(batch.recorded[-1].position, batch.recorded[-1].running_hash)
            if self._is_stopped():
                return
        self._intake = intake  # with the beginning of a command that ends after `up_to`

    def _store(self, events: Sequence[Sequenced]) -> None:
        for whole in source.split(events, BATCH_MAX):
            self._apply(Batch(whole))

    def _apply(self, batch: Batch, made: Round | None = None) -> None:
        apply_batch(self._connection, self._live, batch, self._lag.percentiles(), made)
        self._lag.note(batch.recorded[0].event.recorded_at)

    def _help(self, checkpoint: Checkpoint) -> None:
        """Take one that is behind a slice further, and let it move with the others once it stands with them.

        A history that breaks behind the others is the alarm of this one alone: they are past it.
        """
        intake = Intake(checkpoint.position, checkpoint.running_hash)
        up_to = min(self.position, checkpoint.position + SLICE_MAX)
        try:
            batches = source.batches(intake, up_to, BATCH_MAX)
            for batch, made in with_statements([checkpoint], batches, self._lag.percentiles):
                apply_batch(self._connection, [checkpoint], batch, self._lag.percentiles(), made)
        except ChainBroken as error:
            self._behind.remove(checkpoint)
            self._stop(checkpoint, str(error))
            return
        if checkpoint.position == self.position:
            self._behind.remove(checkpoint)
            self._live.append(checkpoint)
            log.info("projection caught up", projection=checkpoint.projection.name, at=self.position)
