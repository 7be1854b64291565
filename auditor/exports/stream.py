"""Streams an export: rows are read, written and sent a piece at a time, and the job says how far it is.

Nothing is kept on a disk. What bounds the memory is that the next piece is read when the one before was sent: see
`auditor.backpressure` for a client that reads slowly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from django.utils import timezone

from auditor.exports.formats import Writer
from auditor.exports.source import Source
from auditor.jobs.start import end
from auditor.models import Job
from auditor.threads import in_thread

# A stream that has sent nothing for this long has nobody at its other end.
SILENCE_MAX = timedelta(minutes=10)


class BeingDownloaded(Exception):
    """The export is being sent already: two would count into one."""


def begin(job: Job, total: int | None) -> None:
    """Put the job on record as running. Raises: BeingDownloaded."""
    now = timezone.now()
    idle = Job.objects.filter(pk=job.pk).exclude(state=Job.State.RUNNING, heard_at__gt=now - SILENCE_MAX)
    begun = idle.update(
        state=Job.State.RUNNING, started_at=now, heard_at=now, ended_at=None, done=0, total=total, error=""
    )
    if not begun:
        raise BeingDownloaded


class Stream:
    """The file's bytes. However it ends, that is on record, and a download cut short never counts as done."""

    def __init__(self, job: Job, source: Source, writer: Writer) -> None:
        self._job, self._source, self._writer = job, source, writer
        self._rows = 0
        self._is_over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._source.pieces()
        try:
            yield self._writer.begin()
            while piece := await in_thread(next, pieces, []):
                written: bytes = await in_thread(self._write, piece)
                yield written
            yield await in_thread(self._writer.end)
        except Exception as error:
            await in_thread(self._end, Job.State.FAILED, f"{type(error).__name__} after {self._rows} rows")
            raise
        await in_thread(self._end, Job.State.DONE)

    def close(self) -> None:
        """Record that the download was cut off, unless it has ended. Django calls this, in a thread, in any case."""
        if not self._is_over:
            self._end(Job.State.STOPPED, f"the download was cut off after {self._rows} rows")

    def _write(self, piece: list[list[Any]]) -> bytes:
        self._rows += len(piece)
        Job.objects.filter(pk=self._job.pk, state=Job.State.RUNNING).update(done=self._rows, heard_at=timezone.now())
        return self._writer.rows(piece)

    def _end(self, state: Job.State, error: str = "") -> None:
        self._is_over = True
        # What was estimated at the beginning gives way to what was counted.
        totals = {"total": self._rows} if state == Job.State.DONE else {}
        end(self._job.pk, state, done=self._rows, error=error, **totals)
