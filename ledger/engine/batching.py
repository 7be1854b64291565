"""Group commit: commands that arrive together are executed together, in one call of the engine.

One writer thread per process takes whatever waits while the call before it runs, so a hot account costs one
transaction for many commands. A lone command waits for nobody, several for a millisecond, in which more of them come.
Each caller gets its own outcome. A submission that makes the engine fall over (a defect, not a refusal) is found by
halving the call, so that its neighbours never see it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any

from prometheus_client import Histogram

from ledger.engine.execute import execute
from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.errors import LedgerError, Overloaded, StoreUnavailable

# Some 20 ms of work: a caller who just missed a call waits no longer than that for the next one to begin.
COMMANDS_PER_CALL_MAX = 256
# Who has company waits for more of it, and lets the event loop have Python's lock: one call then carries out more
# (ADR 16). A lone command does not wait.
GATHER_S = 0.001
# Two seconds of work at 1,000 commands a second; whoever comes after that is better told to come again.
WAITING_MAX = 2_048
# Longer than the engine retries (execute.RETRY_S_MAX), so that a caller normally hears what became of it.
ANSWER_S_MAX = 15.0

BATCH_SIZE = Histogram(
    "chronicle_commands_per_call",
    "Commands that were executed in one transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, COMMANDS_PER_CALL_MAX),
)


class Batcher:
    """`on_commit` is called in the writer thread after each call that wrote something; it may not raise."""

    def __init__(self, on_commit: Callable[[], None] = lambda: None) -> None:
        self.on_commit = on_commit
        self._waiting: deque[_Entry] = deque()
        self._lock = Lock()
        self._is_draining = False
        self._is_closed = False
        # An executor, because Python lets its threads finish their work before the process ends.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    async def submit(self, submission: Submission) -> Outcome:
        """Execute one command with whatever else waits, and return its outcome.

        **Raises** Overloaded: nothing was written. StoreUnavailable: no answer in time; whether the command took
        effect is told by the same idempotency key.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        # One turn of the loop: whatever else has arrived is then queued in one go, before the writer wakes up.
        await asyncio.sleep(0)
        self._enqueue(_Entry(submission, future, loop))
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await future
        except TimeoutError:
            raise _no_answer() from None

    def submit_sync(self, submission: Submission) -> Outcome:
        """Do the same from a thread without an event loop."""
        future: Future[Outcome] = Future()
        self._enqueue(_Entry(submission, future, None))
        try:
            return future.result(ANSWER_S_MAX)
        except TimeoutError:
            future.cancel()
            raise _no_answer() from None

    def close(self) -> None:
        """Execute what still waits, take nothing more, then let the writer thread go."""
        with self._lock:
            self._is_closed = True
        self._writer.shutdown(wait=True)

    def _enqueue(self, entry: _Entry) -> None:
        with self._lock:
            if self._is_closed:
                raise Overloaded("this process is stopping")
            if len(self._waiting) >= WAITING_MAX:
                raise Overloaded(f"{WAITING_MAX} commands are waiting already")
            if not self._is_draining:
                try:
                    self._writer.submit(self._drain)
                except RuntimeError as error:
                    raise Overloaded("this process is stopping") from error
                self._is_draining = True
            self._waiting.append(entry)

    def _drain(self) -> None:
        while entries := self._take():
            live = [entry for entry in entries if entry.begin()]
            if live:
                BATCH_SIZE.observe(len(live))
                _answer(live, self._execute([entry.submission for entry in live]))

    def _take(self) -> list[_Entry]:
        if len(self._waiting) > 1:
            time.sleep(GATHER_S)
        with self._lock:
            count = min(len(self._waiting), COMMANDS_PER_CALL_MAX)
            self._is_draining = count > 0
            return [self._waiting.popleft() for _ in range(count)]

    def _execute(self, submissions: Sequence[Submission], *, is_again: bool = False) -> list[_Result]:
        """Return an outcome or an exception for each, whatever happens."""
        try:
            return list(execute(submissions, may_be_written=is_again, on_commit=self.on_commit))
        except LedgerError as error:  # the store is away or too contended: true for every one of them
            return [Rejected(error)] * len(submissions)
        except Exception as error:
            # Not swallowed: it reaches the one caller whose command caused it. Executing again is safe, because
            # event ids follow from the command's id: what was committed after all is looked up, not done twice.
            if len(submissions) == 1 and is_again:
                return [_settable(error)]
            middle = len(submissions) // 2
            parts = [part for part in (submissions[:middle], submissions[middle:]) if part]
            return [result for part in parts for result in self._execute(part, is_again=True)]


_Result = Outcome | Exception


class _Entry:
    """One caller: what it wants done and where its answer goes. `loop` is None for a waiting thread."""

    __slots__ = ("future", "loop", "submission")

    def __init__(self, submission: Submission, future: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.submission, self.future, self.loop = submission, future, loop

    def begin(self) -> bool:
        """Return whether somebody still waits for this; a thread can then no longer take it back."""
        if self.loop is None:
            return bool(self.future.set_running_or_notify_cancel())
        return not self.future.cancelled()


def _answer(entries: Sequence[_Entry], results: Sequence[_Result]) -> None:
    """Hand out the answers; an event loop is woken once, however many of them are its own."""
    by_loop = defaultdict(list)
    for entry, result in zip(entries, results, strict=True):
        by_loop[entry.loop].append((entry.future, result))
    for loop, answers in by_loop.items():
        if loop is None:
            _resolve(answers)
        else:
            with suppress(RuntimeError):  # a loop that is closed took its callers with it
                loop.call_soon_threadsafe(_resolve, answers)


def _settable(error: Exception) -> Exception:
    """Return an exception that a future takes: asyncio's refuses StopIteration, and whoever comes after it waits on."""
    if not isinstance(error, StopIteration):
        return error
    defect = RuntimeError("the engine ran out of an iterator")
    defect.__cause__ = error
    return defect


def _resolve(answers: list[tuple[Any, _Result]]) -> None:
    for future, result in answers:
        if future.done():  # its caller has stopped waiting
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _no_answer() -> StoreUnavailable:
    return StoreUnavailable(
        f"no answer within {ANSWER_S_MAX:.0f} s; repeat it with the same Idempotency-Key to learn what became of it"
    )


_shared = Batcher()
submit = _shared.submit
submit_sync = _shared.submit_sync


def call_after_commit(hook: Callable[[], None]) -> None:
    """Set what the process's own batcher calls after each commit: the nudge that wakes the relay."""
    _shared.on_commit = hook
