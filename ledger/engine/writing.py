"""Carries a plan out: decides its commands and has the store write what they led to, in one transaction.

Short calls, those of all-or-nothing, and whatever is tried again are decided first and then appended in one statement.
Long ones are streamed: the server writes the first rows while later commands are being decided (ADR 12).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ledger.engine.plan import Plan
from ledger.engine.remembered import REMEMBERED
from ledger.engine.sealing import Sealer
from ledger.engine.subjects import note_subjects
from ledger.engine.submission import Rejected, Submission
from ledger.errors import StoreConflict
from ledger.store.append import NO_HEADS, AppendStream, append
from ledger.store.event_store import Head

# Below that, the statements of a transaction in pieces cost more than deciding and writing at once saves.
STREAMED_FROM = 200
# The rows of one piece are some 100 KB: more would not fit the socket's buffer, and wait in this process.
COMMANDS_PER_PIECE = 64


class _MemoryNotEnough(Exception):
    """Something must be read: a command would be rejected, or looked at an aggregate without writing to it."""


class Writing:
    def __init__(self, plan: Plan, read_at: datetime, on_heads: Mapping[str, Head] = NO_HEADS) -> None:
        """The last two are those of `ledger.store.append.append`."""
        self.plan = plan
        self.is_committed = False
        self._read_at, self._on_heads = read_at, on_heads

    def decide(self, submissions: Sequence[Submission]) -> None:
        """Decide the commands, and write nothing."""
        for submission in submissions:
            self._add(submission)
        self.plan.finish()
        self._check_memory()

    def write(self, submissions: Sequence[Submission]) -> None:
        """Raises: as `append`."""
        if len(submissions) < STREAMED_FROM:
            self.write_whole(submissions)
        else:
            self._stream(submissions)

    def write_whole(self, submissions: Sequence[Submission]) -> None:
        """Decide everything before anything is written. Raises: as `append`."""
        self.decide(submissions)
        if self.plan.rows:
            note_subjects(submissions, self.plan.outcomes)
            self._committed(append(self.plan.rows, self._read_at, self._on_heads))

    def _stream(self, submissions: Sequence[Submission]) -> None:
        rows, is_sent = self.plan.rows, False
        with AppendStream(self._read_at, self._on_heads) as stream:
            for number, submission in enumerate(submissions, 1):
                self._add(submission)
                if rows and (number % COMMANDS_PER_PIECE == 0 or number == len(submissions)):
                    stream.send(rows.take())
                    is_sent = True
            self._check_memory()
            if is_sent:
                note_subjects(submissions, self.plan.outcomes)
                self._committed(stream.commit())

    def _add(self, submission: Submission) -> None:
        outcome = self.plan.add(submission)
        if self._on_heads and isinstance(outcome, Rejected):
            raise _MemoryNotEnough

    def _check_memory(self) -> None:
        if not self._on_heads.keys() <= self.plan.advanced.keys():
            raise _MemoryNotEnough

    def _committed(self, told_at: datetime) -> None:
        self.is_committed = True
        REMEMBERED.learn(self.plan.advanced, told_at)


def writing_from_memory(
    submissions: Sequence[Submission], aggregate_ids: Sequence[str], *, atomic: bool
) -> Writing | None:
    """Carry commands out on remembered heads, or return None, having written nothing, where those are not enough.

    **Why** an idempotency key is not looked up here: one that was used before fails the append, and the next attempt
    reads the answer that it has. Raises: as `append`.
    """
    snapshot = REMEMBERED.recall(aggregate_ids)
    if snapshot is None:
        return None
    on_heads = dict(snapshot.heads)
    plan = Plan(snapshot, Sealer(submissions, snapshot.heads, dry_run=False), atomic=False)
    writing = Writing(plan, snapshot.now, on_heads)
    try:
        # All or nothing is what only a plan that accepts everything can be: a rejection is found before a row is sent.
        (writing.write_whole if atomic else writing.write)(submissions)
    except _MemoryNotEnough:
        # A rejected command costs a call its plan; a caller who sends many of them is better served by reading.
        if len(submissions) > 1:
            REMEMBERED.distrust()
        return None
    except StoreConflict:
        REMEMBERED.distrust()
        raise
    return writing
