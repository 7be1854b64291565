"""A call of the engine without a thread: decided on what is in memory, and appended from the event loop.

Most calls under load are of that kind. In a thread of their own they take Python's lock from the loop, and the loop
takes it back, at every system call of either: a fifth of what a command cost a web process (ADR 16). Whatever needs
more than memory and one statement, and whatever goes wrong, is left to `execute`, which then finds nothing written,
or is told that something may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.domain.commands import CreateAccount, Reverse
from ledger.engine.plan import Plan
from ledger.engine.remembered import REMEMBERED
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Outcome, Submission
from ledger.engine.writing import MemoryWrong, Writing
from ledger.errors import StoreConflict
from ledger.store.event_store import Snapshot
from ledger.subjects.connection import NotInMemory, from_memory

# What is reversed is looked up, and whose a new account is goes on record.
_ASKING = (Reverse, CreateAccount)


async def execute_in_loop(submissions: Sequence[Submission], on_commit: Callable[[], None]) -> list[Outcome] | None:
    """Do what `execute` does with independent commands; None, with nothing written, where that takes a thread.

    Raises: CommitUnknown, or a defect of ours: something may be written then.
    """
    writing = _decided(submissions)
    if writing is None:
        return None
    try:
        await writing.append_in_loop()
    except StoreConflict:
        REMEMBERED.distrust({id_ for s in submissions for id_ in s.command.aggregate_ids})
        return None
    if not writing.is_committed:
        return None
    on_commit()
    return writing.plan.outcomes


def _decided(submissions: Sequence[Submission]) -> Writing | None:
    """Decide commands on remembered heads; None where a database has to be asked: a refusal, say, is confirmed."""
    if any(isinstance(s.command, _ASKING) for s in submissions):
        return None
    snapshot = REMEMBERED.recall({id_ for s in submissions for id_ in s.command.aggregate_ids})
    if snapshot is None:
        return None
    try:
        with from_memory():
            plan = Plan(snapshot, Sealer(submissions, snapshot.heads, dry_run=False), atomic=False)
            writing = Writing(plan, snapshot, _not_in_memory)
            writing.decide(submissions)
    except (NotInMemory, MemoryWrong):
        return None
    return writing if plan.rows.commands else None


def _not_in_memory() -> Snapshot:
    raise NotInMemory
