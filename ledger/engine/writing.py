"""Carries a plan out: decides its commands and has the store write what they led to, in one transaction.

Short calls, those of all-or-nothing, and whatever is tried again are decided first and then appended in one statement.
Long ones are streamed: the server writes the first rows while later commands are being decided (ADR 12).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime

from ledger.engine.plan import Plan
from ledger.engine.remembered import REMEMBERED
from ledger.engine.sealing import Sealer
from ledger.engine.subjects import note_subjects
from ledger.engine.submission import Rejected, Submission
from ledger.errors import StoreConflict
from ledger.store.append import NO_HEADS, AppendStream, append, append_in_loop
from ledger.store.event_store import Head, Snapshot

# Below that, the statements of a transaction in pieces cost more than deciding and writing at once saves.
STREAMED_FROM = 200
# The rows of one piece are some 100 KB: more would not fit the socket's buffer, and wait in this process.
COMMANDS_PER_PIECE = 64


class Writing:
    """`read`: what the store holds of a plan whose heads were remembered; None for a plan that was made on a read."""

    def __init__(self, plan: Plan, snapshot: Snapshot, read: Callable[[], Snapshot] | None = None) -> None:
        self.plan = plan
        self.is_committed = False
        self._read_at, self._read = snapshot.now, read
        self._on_heads = NO_HEADS if read is None else dict(snapshot.heads)

    def decide(self, submissions: Sequence[Submission]) -> None:
        """Decide the commands, and write nothing."""
        for submission in submissions:
            self._add(submission)
        self.plan.finish()
        self._check_looked_at()

    def write(self, submissions: Sequence[Submission]) -> None:
        """Raises: as `append`, and MemoryWrong."""
        if len(submissions) < STREAMED_FROM:
            self.write_whole(submissions)
        else:
            self._stream(submissions)

    def write_whole(self, submissions: Sequence[Submission]) -> None:
        """Decide everything before anything is written. Raises: as `write`."""
        self.decide(submissions)
        if self.plan.rows:
            note_subjects(submissions, self.plan.outcomes)
            self._committed(append(self.plan.rows, self._read_at, self._on_heads))

    async def append_in_loop(self) -> None:
        """Have what was decided written, from an event loop, if that can begin at once. Raises: as `append`."""
        told_at = await append_in_loop(self.plan.rows, self._read_at, self._on_heads)
        if told_at is not None:
            self._committed(told_at)

    def _stream(self, submissions: Sequence[Submission]) -> None:
        rows = self.plan.rows
        with ExitStack() as opened:
            stream: AppendStream | None = None
            for number, submission in enumerate(submissions, 1):
                self._add(submission)
                if rows and (number % COMMANDS_PER_PIECE == 0 or number == len(submissions)):
                    # Not before there is something to send, and something to ask for the heads with.
                    stream = stream or opened.enter_context(AppendStream(self._read_at, self._on_heads))
                    stream.send(rows.take())
            self._check_looked_at()
            if stream is not None:
                note_subjects(submissions, self.plan.outcomes)
                self._committed(stream.commit())

    def _add(self, submission: Submission) -> None:
        if isinstance(self.plan.add(submission), Rejected):
            self._confirm()

    def _check_looked_at(self) -> None:
        """An append asks for the heads it follows; what was only looked at, nobody would ask for."""
        if not self._on_heads.keys() <= self.plan.advanced.keys():
            self._confirm()

    def _confirm(self) -> None:
        """Have the store say that it holds what was remembered: from here on it is as if it had been read.

        Raises: MemoryWrong, also where a key was used before: what it was answered is no matter of heads.
        """
        if self._read is None:
            return
        read, self._read = self._read(), None
        if read.keys or any(_differ(head, read.heads[id_]) for id_, head in self._on_heads.items()):
            raise MemoryWrong
        self._on_heads = NO_HEADS

    def _committed(self, told_at: datetime) -> None:
        self.is_committed = True
        REMEMBERED.learn(self.plan.advanced, told_at)


class MemoryWrong(Exception):
    """The store holds something else than what was remembered."""


def _differ(one: Head, other: Head) -> bool:
    return (one.version, one.hash) != (other.version, other.hash)


def writing_from_memory(submissions: Sequence[Submission], aggregate_ids: Sequence[str],
                        read: Callable[[], Snapshot], *, atomic: bool) -> Writing | None:  # fmt: skip
    """Carry commands out on remembered heads, or return None, having written nothing, where those are not enough.

    **Why** an idempotency key is not looked up here: one that was used before fails the append, and the next attempt
    reads the answer that it has. Raises: as `append`.
    """
    snapshot = REMEMBERED.recall(aggregate_ids)
    if snapshot is None:
        return None
    plan = Plan(snapshot, Sealer(submissions, snapshot.heads, dry_run=False), atomic=atomic)
    writing = Writing(plan, snapshot, read)
    try:
        # All or nothing is decided before a row is sent: a rejection undoes what came before it.
        (writing.write_whole if atomic else writing.write)(submissions)
    except MemoryWrong:
        REMEMBERED.distrust(aggregate_ids)
        return None
    except StoreConflict:
        REMEMBERED.distrust(aggregate_ids)
        raise
    return writing
