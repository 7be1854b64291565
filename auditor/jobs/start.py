"""Starts long work in a process of its own, and sees to it that its end is on record, however it comes.

The web process holds the other end of the child's standard input: when it dies, even by SIGKILL, the child
reads the end of it and stops. A child that dies without a word is noted by a thread that waits for it; one whose
web process died with it has gone silent, and is noted by whoever starts the next.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from auditor.models import Job

# A running job writes twice a second; this long a silence is no busy machine any more.
SILENCE_MAX = timedelta(seconds=30)


class AlreadyRunning(Exception):
    """Work of this kind and subject is under way; `job` is it."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.kind} is running already, since {job.started_at:%H:%M:%S} UTC by {job.started_by}")
        self.job = job


def register(kind: str, user: Any, subject: str = "", options: dict[str, Any] | None = None) -> Job:
    """Put a job on record as running. Raises: AlreadyRunning."""
    note_silent(kind, subject)
    now = timezone.now()
    try:
        with transaction.atomic():
            return Job.objects.create(
                kind=kind, subject=subject, options=options or {}, started_by=user, started_at=now, heard_at=now
            )
    except IntegrityError as error:
        running = Job.objects.filter(kind=kind, subject=subject, state=Job.State.RUNNING).first()
        if running is None:  # it has ended in between
            return register(kind, user, subject, options)
        raise AlreadyRunning(running) from error


def start(kind: str, user: Any, subject: str = "", options: dict[str, Any] | None = None) -> Job:
    """Start work of a kind that `auditor.jobs.work` knows. Raises: AlreadyRunning."""
    job = register(kind, user, subject, options)
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_job", str(job.pk), "--with-parent"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    threading.Thread(target=_wait_for, args=(process, job.pk), name=f"job {job.pk}", daemon=True).start()
    return job


def end(job_id: int, state: Job.State, **fields: Any) -> bool:
    """Record the end of a job; only the first one counts. Return whether this was it."""
    running = Job.objects.filter(pk=job_id, state=Job.State.RUNNING)
    return bool(running.update(state=state, ended_at=timezone.now(), **fields))


def note_silent(kind: str, subject: str = "") -> None:
    """Record the end of jobs that nobody has heard of for too long."""
    silent = Job.objects.filter(
        kind=kind, subject=subject, state=Job.State.RUNNING, heard_at__lt=timezone.now() - SILENCE_MAX
    )
    for job in silent:
        end(job.pk, Job.State.FAILED, error="its process was lost: nothing was heard of it any more")


def _wait_for(process: subprocess.Popen[bytes], job_id: int) -> None:
    with process:  # closes our end of its input, but not before it has ended
        code = process.wait()
    try:
        end(job_id, Job.State.FAILED, error=f"its process ended with exit code {code}")
    finally:
        connections.close_all()
