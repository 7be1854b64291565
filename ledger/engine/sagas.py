"""The process manager of transfers in steps: finds those that have not ended, and ends them.

It keeps nothing: what is unfinished is read from the journal, and each step is an ordinary command with an id and
an idempotency key that follow from the transfer's. So it may die anywhere, and any number may run: a step that
somebody took already is answered, not taken again, and the transfer's second version can be written once (ADR 5).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID, uuid5

import structlog

from ledger.domain.commands import Command, FailTransfer, SettleTransfer
from ledger.domain.errors import Conflict, LedgerError, TransferEnded
from ledger.engine.execute import DEFECTS_MAX, execute
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.errors import Busy, InternalError, StoreUnavailable
from ledger.store import sql
from ledger.store.connection import connection, translated

log = structlog.get_logger()
# No user can have it, because a user's name has no colon: so nobody can use up the keys of the steps.
ACTOR = "ledger:sagas"
# Steps of one engine call: some 50 ms of work, far from the 5 s in which it must commit.
PAGE = 200
# What a transfer waits at most before it is seen; an idle look is one probe of an index.
POLL_S = 0.1
BACKOFF_S_FIRST, BACKOFF_S_MAX = 0.05, 2.0
REASON_MAX = 500


class Started(NamedTuple):
    """A transfer that has not ended, and the event that it began with."""

    transfer_id: str
    event_id: UUID
    from_account_id: str
    to_account_id: str


class ProcessManager:
    """One pass over what is unfinished after the other.

    `_ended_to`: the journal up to here holds no unfinished transfer. It is found again by each process that
    starts, at the cost of one probe for each transfer there ever was.
    """

    def __init__(self, on_commit: Callable[[], None] = lambda: None) -> None:
        self._on_commit = on_commit
        self._ended_to = 0

    def work(self) -> int:
        """End every transfer that is in the journal and has not ended; return how many there were.

        Raises: Busy or StoreUnavailable; the next pass takes up where this one stopped. InternalError, a defect: all
        others are ended by then, and the next pass tries again.
        """
        ended, after, failed = 0, self._ended_to, None
        while True:
            position, unfinished = _page(after)
            if position is None:
                break
            try:
                if unfinished:
                    self._end(unfinished)
            except InternalError as error:
                failed = error
            if failed is None:
                self._ended_to = position
            after, ended = position, ended + len(unfinished)
        if failed is not None:
            raise failed
        return ended

    def _end(self, unfinished: Sequence[Started]) -> None:
        """Settle transfers; those whose settlement is refused fail, and what they reserved is free again.

        Raises: what kept a step from being tried. That is no refusal, and the transfer waits for the next pass.
        """
        settled = self._execute([_settlement(transfer) for transfer in unfinished])
        failures = [
            _failure(transfer, outcome.error)
            for transfer, outcome in zip(unfinished, settled, strict=True)
            if isinstance(outcome, Rejected) and not _has_ended(outcome) and not _is_put_off(outcome)
        ]
        failed = self._execute(failures) if failures else []
        for outcome in (*settled, *failed):
            if isinstance(outcome, Rejected) and _is_put_off(outcome):
                raise outcome.error
        assert all(_is_over(outcome) for outcome in failed), "a hold can always be released"

    def _execute(self, steps: Sequence[Submission]) -> list[Outcome]:
        """Execute steps. After so many defects the engine tries no more of a call: the rest is tried in smaller ones.

        **Why** a page begins with what could not be ended: those behind it would never have their turn.
        """
        outcomes = execute(steps, on_commit=self._on_commit)
        fallen = [index for index, outcome in enumerate(outcomes) if _is_defect(outcome)]
        if len(fallen) > DEFECTS_MAX:
            for start in range(0, len(fallen), DEFECTS_MAX):
                again = fallen[start : start + DEFECTS_MAX]
                tried = execute([steps[index] for index in again], on_commit=self._on_commit)
                for index, outcome in zip(again, tried, strict=True):
                    outcomes[index] = outcome
        return outcomes


def run_sagas(stop: threading.Event, on_commit: Callable[[], None]) -> None:
    """End transfers until `stop` is set."""
    manager, failures = ProcessManager(on_commit), 0
    while not stop.is_set():
        try:
            if ended := manager.work():
                log.info("transfers ended", count=ended)
            failures, pause_s = 0, POLL_S
        except (Busy, StoreUnavailable, InternalError) as error:
            failures += 1
            log.warning("transfers wait", code=error.code, error=str(error), failures=failures)
            pause_s = min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(failures, 10))
        stop.wait(pause_s)


def _page(after: int) -> tuple[int | None, list[Started]]:
    """Return the position that the next page continues from, None at the end, and what of this one has not ended."""
    with connection() as conn, translated():
        rows = conn.execute(sql.READ_STARTED_TRANSFERS, (after, PAGE)).fetchall()
    unfinished = [
        Started(data["transfer_id"], event_id, data["from_account_id"], data["to_account_id"])
        for _, version, event_id, data in rows
        if version == 1
    ]
    return (rows[-1][0] if rows else None), unfinished


def _settlement(transfer: Started) -> Submission:
    command = SettleTransfer(transfer.transfer_id, transfer.from_account_id, transfer.to_account_id)
    return _step(transfer, "settle", command)


def _failure(transfer: Started, error: LedgerError) -> Submission:
    reason = str(error)[:REASON_MAX]
    return _step(transfer, "fail", FailTransfer(transfer.transfer_id, transfer.from_account_id, error.code, reason))


def _step(transfer: Started, name: str, command: Command) -> Submission:
    return Submission(
        command,
        ACTOR,
        command_id=uuid5(UUID(transfer.transfer_id), name),
        idempotency_key=f"{transfer.transfer_id}/{name}",
        correlation_id=transfer.transfer_id,
        causation_id=str(transfer.event_id),
    )


def _is_put_off(outcome: Rejected) -> bool:
    """Return whether nobody has decided: the store was away for a part of a call, or we failed at this one."""
    return outcome.error.retryable or _is_defect(outcome)


def _is_defect(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and isinstance(outcome.error, InternalError)


def _has_ended(outcome: Rejected) -> bool:
    """Return whether a settlement came too late: another process has ended the transfer, one way or the other."""
    return isinstance(outcome.error, TransferEnded)


def _is_over(failure: Outcome) -> bool:
    """Return whether a transfer has failed, now or when another process said so first, for whatever reason."""
    return isinstance(failure, Accepted) or isinstance(failure.error, Conflict)
