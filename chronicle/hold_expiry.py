"""Ends holds whose deadline has passed: finds them in the read model, and sends ExpireHold through the engine.

Money is never held longer than agreed, with or without this worker: a decision already counts an expired hold
as none. What it adds is the event. Any number may run, and any of them may be killed: the id of the command
follows from the hold's, so it can be carried out once, and a hold that is gone is refused without a trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid5

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from ledger import selectors as ledger
from ledger.bus.nudge import nudge
from ledger.domain.commands import ExpireHold
from ledger.domain.errors import HoldNotFound
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Rejected, Submission
from ledger.errors import Busy, StoreUnavailable
from projections import selectors as projections
from projections.models import Transfer

log = structlog.get_logger()
ACTOR = "expire_holds"
_COMMANDS = UUID("33668080-ba4d-43ec-81ce-1d8e12e3f226")  # the namespace of this worker's command ids
BATCH_MAX = 256  # holds in one transaction, like the commands of web requests: some 20 ms
# A hold that is placed between two looks is released this much too late at most.
POLL_S = 1.0
PASSING_ERRORS = (Busy, StoreUnavailable, DatabaseError, InterfaceError)


class HoldExpiry:
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        # Ended, as the event store has told, while the read model still shows them open.
        self._ended: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="holds")

    async def run(self) -> None:
        """Work until `stop` is set."""
        loop = asyncio.get_running_loop()
        try:
            while not self._stop.is_set():
                try:
                    pause_s = await loop.run_in_executor(self._thread, self.release_due)
                except PASSING_ERRORS as error:
                    log.warning("releasing holds failed, trying again", error=str(error), kind=type(error).__name__)
                    pause_s = POLL_S
                await self._pause(pause_s)
        finally:
            # Django keeps connections for each thread; this one ends here.
            await loop.run_in_executor(self._thread, connections.close_all)
            self._thread.shutdown()

    def release_due(self) -> float:
        """Release every hold that is due, and return for how many seconds nothing else can be.

        Raises: one of PASSING_ERRORS; what has been released until then stays so.
        """
        close_old_connections()
        now = ledger.now()
        due: set[str] = set()
        last: Transfer | None = None
        while not self._stop.is_set() and (page := projections.due_holds(now, last, BATCH_MAX)):
            last = page[-1]
            due.update(hold.transfer_id for hold in page)
            if open_ones := [hold for hold in page if hold.transfer_id not in self._ended]:
                self._end(open_ones)
        self._ended &= due  # what the read model has caught up with need not be remembered
        deadline = projections.next_deadline(now)
        return POLL_S if deadline is None else min(POLL_S, (deadline - now).total_seconds())

    def _end(self, holds: Sequence[Transfer]) -> None:
        outcomes = execute([_submission(hold) for hold in holds], on_commit=nudge)
        for hold, outcome in zip(holds, outcomes, strict=True):
            match outcome:
                case Accepted():
                    self._ended.add(hold.transfer_id)
                case Rejected(error=HoldNotFound()):  # captured, released or ended by another worker meanwhile
                    self._ended.add(hold.transfer_id)
                case Rejected(error=error):
                    log.error("a hold cannot be released", hold_id=hold.transfer_id, code=error.code, error=str(error))

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def _submission(hold: Transfer) -> Submission:
    command = ExpireHold(hold.from_account_id, hold.transfer_id)
    command_id = uuid5(_COMMANDS, f"{hold.from_account_id}/{hold.transfer_id}")
    # The hold's id is that of the command that placed it.
    return Submission(command, ACTOR, command_id, correlation_id=hold.transfer_id)


async def expire_holds(stop: asyncio.Event) -> None:
    """Run one worker until `stop` is set."""
    await HoldExpiry(stop).run()
