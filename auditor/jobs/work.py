"""What a job does, by its kind. Each is the code of the management command of that name, with another progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from auditor.integrity.trust import verification_request
from auditor.jobs.progress import Progress
from auditor.models import Job
from ledger.store.connection import dedicated_connection
from ledger.verify.run import extent_of, verify
from projections import rebuild
from projections.connection import read_model_connection
from projections.projection import by_name

VERIFY, REBUILD, EXPORT = "verify", "rebuild", "export"


def run_verification(job: Job, progress: Progress) -> None:
    """As `verify_ledger` does."""
    started = time.monotonic()
    with dedicated_connection() as conn:
        extent = extent_of(conn)
    progress.set(0, extent.size)
    request = verification_request(semantic=bool(job.options.get("semantic")))
    findings = verify(request, progress.advance)
    job.is_good = not findings.fault_count
    job.result = {
        "events": findings.events,
        "size": extent.size,
        "covered": extent.covered,
        "seconds": round(time.monotonic() - started, 3),
        "fault_count": findings.fault_count,
        "faults": [asdict(fault) for fault in findings.faults],
        "against": [source for source, _ in request.against],
    }


def run_rebuild(job: Job, progress: Progress) -> None:
    """As `rebuild_projection` does."""
    projection = by_name(job.subject)
    with read_model_connection() as connection:
        rebuild.build(connection, projection, progress.set)
        switched = rebuild.switch(connection, projection)
    job.is_good = not switched.parked
    job.result = {"position": switched.position, "parked": switched.parked}


WORK: dict[str, Callable[[Job, Progress], None]] = {VERIFY: run_verification, REBUILD: run_rebuild}
