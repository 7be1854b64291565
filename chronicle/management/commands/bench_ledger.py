"""`manage.py bench_ledger`: starts servers of its own, measures the real system on them, prints a table.

It times nothing that could fail a build: a figure is a figure. The measurement runs in a second process,
because Django reads where its databases are once, when it starts.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chronicle.bench.scratch import REPOSITORY, scratch_stack


class Command(BaseCommand):
    help = "Measures engine, relay and projector on servers of its own."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--here", action="store_true", help="measure on the databases of the environment")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["here"]:
            from chronicle.bench import report, spine

            report.print_table(spine.measure_all())
            return
        with scratch_stack() as environment:
            again = [sys.executable, str(REPOSITORY / "manage.py"), "bench_ledger", "--here"]
            sys.exit(subprocess.run(again, env=environment, check=False).returncode)
