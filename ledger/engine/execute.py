"""The engine: a list of commands in, an outcome for each out, in order.

All or nothing is one transaction. Commands that are independent are carried out in parts, one transaction each: so a
long list holds no lock for long, and none of it fails for being long. What a part has done is done; when one cannot be
written, its commands and those after it are told so one by one, and may be sent again. A command that makes the engine
fall over (a defect of ours, not a refusal) is found by halving its part, so that its neighbours never see it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog

from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.engine.transaction import execute_in_one_transaction
from ledger.errors import Busy, InternalError, StoreUnavailable, TooLate

log = structlog.get_logger()

# This many commands are some 20 MB of parameters and a second of work; more belongs in two calls.
COMMANDS_MAX = 10_000
# Some 100 ms of work: a fiftieth of the time in which a command must commit (event_store.FINAL_AFTER).
COMMANDS_PER_TRANSACTION = 1_000
# What is left of a call after that is given back to its caller, whose patience is about as long.
CALL_S_MAX = 30.0
# Finding one command of a thousand takes some 20 transactions. Where so many fail, it is not the commands' doing.
DEFECTS_MAX = 10


def execute(
    submissions: Sequence[Submission],
    *,
    atomic: bool = False,
    dry_run: bool = False,
    may_be_written: bool = False,
    on_commit: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Execute commands in order and return an outcome for each.

    `atomic`: all or nothing; otherwise a rejected command does not stop its neighbours. `dry_run`: the same
    outcomes, nothing written. `may_be_written`: an earlier call with these very submissions ended without an answer,
    so what it may have committed is looked up first. `on_commit` is called after each transaction that wrote something.
    Raises: Busy or StoreUnavailable, when nothing is known to be written and retrying is safe under the same
    command ids or idempotency keys. When something was, they are the outcomes of the commands that were not. A
    defect is the outcome InternalError of the command that it came with; it is raised where the call is one plan.
    """
    assert 0 < len(submissions) <= COMMANDS_MAX, f"1 to {COMMANDS_MAX} commands a call"
    if atomic or dry_run:
        return execute_in_one_transaction(
            submissions, atomic=atomic, dry_run=dry_run, may_be_written=may_be_written, on_commit=on_commit
        )
    return _execute_in_parts(submissions, may_be_written, on_commit)


def _execute_in_parts(
    submissions: Sequence[Submission], may_be_written: bool, on_commit: Callable[[], None]
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    most = size = COMMANDS_PER_TRANSACTION
    suspect_to = len(submissions) if may_be_written else 0  # the commands before it may be written
    defects, deadline = 0, time.monotonic() + CALL_S_MAX
    while rest := submissions[len(outcomes) :]:
        suspects = max(0, suspect_to - len(outcomes))
        part = rest[: min(size, suspects) if suspects else most]
        try:
            if outcomes and time.monotonic() > deadline:
                raise Busy(f"the call has taken {CALL_S_MAX:.0f} s; what is left of it was not tried")
            outcomes += execute_in_one_transaction(part, may_be_written=suspects > 0, on_commit=on_commit)
        except (Busy, StoreUnavailable) as error:
            if isinstance(error.__cause__, TooLate) and len(part) > 1 and time.monotonic() < deadline:
                most = size = len(part) // 2
            elif outcomes:
                return [*outcomes, *[Rejected(error)] * len(rest)]
            else:
                raise
        except Exception as defect:
            # Not swallowed: it reaches the one caller whose command it came with. Executing again is safe, because
            # event ids follow from the command's id: what was committed after all is looked up, not done twice.
            suspect_to = max(suspect_to, len(outcomes) + len(part))
            if len(part) > 1:
                size = len(part) // 2
            elif suspects:
                outcomes.append(Rejected(_internal_error(defect)))
                size, defects = most, defects + 1
            log.error("the engine failed", commands=len(part), answered=len(outcomes), exc_info=defect)
            if defects == DEFECTS_MAX:
                return [*outcomes, *[Rejected(_internal_error(defect))] * (len(rest) - 1)]
    return outcomes


def _internal_error(defect: Exception) -> InternalError:
    error = InternalError(
        "the server failed at this command, or at too many before it, and its log has the cause; "
        "repeat it with the same idempotency key to learn what became of it"
    )
    error.__cause__ = defect
    return error
