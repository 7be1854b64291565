"""Group commit: commands that arrive together are executed together, in one call of the engine.

Whatever waits while a call runs goes into the next one, so a hot account costs one transaction for many commands. A
process has one call under way at a time: in the event loop whose callers wait, as long as nobody else does and memory
is enough (`ledger.engine.in_loop`), otherwise in the writer thread. A lone command waits for nobody, several for a
moment in which more of them come. Each caller gets its own outcome.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from functools import partial
from threading import Lock
from typing import Any

import structlog
from prometheus_client import Histogram

from ledger.engine.execute import execute
from ledger.engine.in_loop import execute_in_loop
from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.errors import CommitUnknown, LedgerError, Overloaded, StoreUnavailable

log = structlog.get_logger()
# Some 20 ms of work: a caller who just missed a call waits no longer than that for the next one to begin.
COMMANDS_PER_CALL_MAX = 256
# Deciding so many keeps the loop from everything else for some 2 ms. With 64 callers, some of them have the loop to
# themselves while the store is at work for others; in calls of all of them loop and store would wait for each other.
COMMANDS_PER_CALL_IN_LOOP_MAX = 32
# Who has company, in a thread, waits for more of it, and lets the event loop have Python's lock: one call then carries
# out more (ADR 16). A lone command does not wait.
GATHER_S = 0.001
# Whoever orders commands and is told of so many lets more of them gather, and looks again by itself (relay.GATHER_S):
# it is told no more often than this. Telling takes a thread, which wants Python's lock from the loop.
MANY_COMMANDS = 16
TOLD_AGAIN_S = 0.02
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
    """`on_commit` is called after a call that wrote something, where that ran; it may not raise, nor wait."""

    def __init__(self, on_commit: Callable[[], None] = lambda: None) -> None:
        self.on_commit = on_commit
        self._told_at = -TOLD_AGAIN_S
        self._waiting: deque[_Entry] = deque()
        self._lock = Lock()
        self._is_draining = False
        self._is_closed = False
        self._draining: asyncio.Task[None] | None = None
        self._live: list[_Entry] = []  # of the call that is under way in an event loop
        # An executor, because Python lets its threads finish their work before the process ends.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    async def submit(self, submission: Submission) -> Outcome:
        """Execute one command with whatever else waits, and return its outcome.

        **Raises** Overloaded: nothing was written. StoreUnavailable: no answer in time; whether the command took
        effect is told by the same idempotency key.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._enqueue(_Entry(submission, future, loop))
        timer = loop.call_later(ANSWER_S_MAX, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

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
            if not self._is_draining or self._is_abandoned():
                try:
                    self._begin_to_drain(entry.loop)
                except RuntimeError as error:
                    raise Overloaded("this process is stopping") from error
                self._is_draining = True
            self._waiting.append(entry)

    def _begin_to_drain(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Have what waits carried out: by the first caller's event loop, or by the writer thread."""
        if loop is None:
            self._writer.submit(self._drain)
        else:
            # In a context of its own: it outlives the request that it begins with.
            self._draining = loop.create_task(self._drain_in_loop(loop), context=Context())
            self._draining.add_done_callback(self._drain_what_is_left)

    async def _drain_in_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what `_drain` does for this loop's own callers, until somebody else waits too, or too many do.

        **Why** not then: whoever waits for a loop waits for all that it has to do, and a loop that many ask at once has
        most to do with asking. The writer thread goes on beside it.
        """
        while not self._is_for_writer(loop):
            if not (entries := await self._gathered_in_loop()):
                return
            if live := [entry for entry in entries if entry.begin()]:
                BATCH_SIZE.observe(len(live))
                self._live = live
                _answer(live, await self._execute_in_loop(loop, [entry.submission for entry in live]), loop)
                self._live = []
        self._drain_elsewhere()

    def _drain_what_is_left(self, drained: asyncio.Task[None]) -> None:
        """Have the writer go on where an event loop was ended: what became of its last call is looked up."""
        defect = None if drained.cancelled() else drained.exception()
        if defect is not None:
            log.error("group commit failed in the event loop, and goes on in its thread", exc_info=defect)
        if defect is not None or drained.cancelled():
            interrupted, self._live = self._live, []
            self._drain_elsewhere(interrupted)

    def _is_abandoned(self) -> bool:
        """Return whether the loop that drains is closed, and its callers gone with it."""
        return self._draining is not None and not self._draining.done() and self._draining.get_loop().is_closed()

    def _drain_elsewhere(self, interrupted: Sequence[_Entry] = ()) -> None:
        try:
            self._writer.submit(self._drain, interrupted)
        except RuntimeError:  # the process stops, or this batcher: whoever still waits is answered here
            self._drain(interrupted)

    async def _execute_in_loop(
        self, loop: asyncio.AbstractEventLoop, submissions: Sequence[Submission]
    ) -> Sequence[_Result]:
        is_again = False
        try:
            if (outcomes := await execute_in_loop(submissions, partial(self._tell, len(submissions)))) is not None:
                return outcomes
        except CommitUnknown:
            is_again = True
        except Exception as defect:
            log.warning("a call in the event loop failed, and is looked up", commands=len(submissions), exc_info=defect)
            is_again = True
        call = partial(self._execute, submissions, is_again=is_again)
        try:
            executing = loop.run_in_executor(self._writer, call)
        except RuntimeError:  # as in `_drain_elsewhere`
            return call()
        return await executing

    def _is_for_writer(self, loop: asyncio.AbstractEventLoop) -> bool:
        with self._lock:
            are_many = len(self._waiting) > COMMANDS_PER_CALL_MAX
            return are_many or any(entry.loop is not loop for entry in self._waiting)

    def _tell(self, commands: int) -> None:
        now = time.monotonic()
        if commands < MANY_COMMANDS or now >= self._told_at + TOLD_AGAIN_S:
            self._told_at = now
            self.on_commit()

    def _drain(self, interrupted: Sequence[_Entry] = ()) -> None:
        """`interrupted`: whose commands may have been executed by a loop that did not hear what became of them."""
        if interrupted:
            _answer(interrupted, self._execute([entry.submission for entry in interrupted], is_again=True))
        while entries := self._gathered():
            live = [entry for entry in entries if entry.begin()]
            if live:
                BATCH_SIZE.observe(len(live))
                _answer(live, self._execute([entry.submission for entry in live]))

    async def _gathered_in_loop(self) -> list[_Entry]:
        if 1 < len(self._waiting) < COMMANDS_PER_CALL_IN_LOOP_MAX:
            await _pause(0)  # one turn of the loop, in which it hears whoever has come by now
        return self._take(COMMANDS_PER_CALL_IN_LOOP_MAX)

    def _gathered(self) -> list[_Entry]:
        if len(self._waiting) > 1:
            time.sleep(GATHER_S)
        return self._take(COMMANDS_PER_CALL_MAX)

    def _take(self, most: int) -> list[_Entry]:
        with self._lock:
            count = min(len(self._waiting), most)
            self._is_draining = count > 0
            return [self._waiting.popleft() for _ in range(count)]

    def _execute(self, submissions: Sequence[Submission], *, is_again: bool = False) -> list[_Result]:
        """Return an outcome or an exception for each, whatever happens."""
        try:
            on_commit = partial(self._tell, len(submissions))
            return list(execute(submissions, may_be_written=is_again, on_commit=on_commit))
        except LedgerError as error:  # the store is away or too contended: true for every one of them
            return [Rejected(error)] * len(submissions)
        except Exception as error:  # not swallowed: it reaches whoever waits
            return [_settable(error)] * len(submissions)


_Result = Outcome | Exception
_pause = asyncio.sleep


class _Entry:
    """One caller: what it wants done and where its answer goes. `loop` is None for a waiting thread."""

    __slots__ = ("future", "loop", "submission")

    def __init__(self, submission: Submission, future: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.submission, self.future, self.loop = submission, future, loop

    def begin(self) -> bool:
        """Return whether somebody still waits for this; a thread can then no longer take it back."""
        if self.loop is None:
            return bool(self.future.set_running_or_notify_cancel())
        return not self.future.done()


def _answer(
    entries: Sequence[_Entry], results: Sequence[_Result], here: asyncio.AbstractEventLoop | None = None
) -> None:
    """Hand out the answers; an event loop is woken once, however many of them are its own. `here`: ours."""
    by_loop = defaultdict(list)
    for entry, result in zip(entries, results, strict=True):
        by_loop[entry.loop].append((entry.future, result))
    for loop, answers in by_loop.items():
        if loop is None or loop is here:
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


def _give_up(future: asyncio.Future[Outcome]) -> None:
    if not future.done():
        future.set_exception(_no_answer())


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
