"""`manage.py run_job ID`: does the work of one job that the portal has put on record.

Exit 0: it is done, whatever its verdict. 1: it failed or was stopped; why is on record. 2: there is no such job
waiting to be done.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from auditor.jobs.progress import Progress
from auditor.jobs.start import end
from auditor.jobs.work import WORK
from auditor.models import Job
from chronicle.processes import CHECK_FAILED, USAGE, LeanCommand, spare_the_collector, stoppable
from ledger.errors import LedgerError
from projections.intake import ChainBroken
from projections.rebuild import RebuildError


class Command(LeanCommand):
    help = "Does the work of one job that was started in the portal, and records its progress and its end."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=int)
        parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")

    def handle(self, *args: Any, **options: Any) -> None:
        job = Job.objects.filter(pk=options["job"], state=Job.State.RUNNING, kind__in=WORK).first()
        if job is None:
            raise CommandError(f"no job {options['job']} waits to be done", returncode=USAGE)
        spare_the_collector()
        progress = Progress(job)
        try:
            # Its own handlers: what comes from the background of a shell has SIGINT ignored.
            with stoppable(), progress.written(with_parent=options["with_parent"]):
                WORK[job.kind](job, progress)
        except KeyboardInterrupt:
            end(job.pk, Job.State.STOPPED, error="it was stopped, or the web process that started it ended")
            sys.exit(CHECK_FAILED)
        except (LedgerError, RebuildError, ChainBroken, LookupError) as error:
            end(job.pk, Job.State.FAILED, error=str(error))
            sys.exit(CHECK_FAILED)
        except Exception as error:
            # A defect: the pages say so, and the traceback goes on to the web server's log.
            end(job.pk, Job.State.FAILED, error=f"{type(error).__name__}: {error}")
            raise
        end(job.pk, Job.State.DONE, is_good=job.is_good, result=job.result)
