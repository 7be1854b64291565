"""Progress of a job, written twice a second from a thread of its own, whatever the work is doing.

The same thread notices that the job was stopped by somebody, or that the web process which started it is gone,
and interrupts the work the way Ctrl-C would.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connections
from django.utils import timezone

from auditor.models import Job

WRITE_INTERVAL_S = 0.5
STANDARD_INPUT = 0


class Progress:
    """`advance` and `set` are called by the work; what they say is seen by the pages half a second later."""

    def __init__(self, job: Job) -> None:
        self._job_id = job.pk
        self._finished = threading.Event()
        self.done, self.total = job.done, job.total

    def advance(self, count: int) -> None:
        self.done += count

    def set(self, done: int, total: int | None = None) -> None:
        self.done, self.total = done, total if total is not None else self.total

    @contextmanager
    def written(self, *, with_parent: bool) -> Iterator[None]:
        """Write the progress while the block runs, and interrupt it when nobody wants it any more."""
        writer = threading.Thread(target=self._write_until_finished, name="progress", daemon=True)
        writer.start()
        if with_parent:
            threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
        try:
            yield
        finally:
            self._finished.set()
            writer.join()

    def _write_until_finished(self) -> None:
        try:
            while not self._finished.wait(WRITE_INTERVAL_S):
                if not self._write():
                    interrupt()
                    return
            self._write()
        except DatabaseError:
            interrupt()  # work whose end cannot be recorded is not worth doing
            raise
        finally:
            connections.close_all()

    def _write(self) -> bool:
        """Return whether the job still counts as running."""
        running = Job.objects.filter(pk=self._job_id, state=Job.State.RUNNING)
        return bool(running.update(done=self.done, total=self.total, heard_at=timezone.now()))


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _stop_with_parent() -> None:
    # Not through sys.stdin: a thread that waits in there keeps Python from ending. Nothing is ever written to it.
    os.read(STANDARD_INPUT, 1)  # returns when the other end is closed, which the parent does by ending
    interrupt()
