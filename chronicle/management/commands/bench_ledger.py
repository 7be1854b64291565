"""`manage.py bench_ledger`: starts servers of its own, measures the real system on them, prints a table.

It times nothing that could fail a build: a figure is a figure. The measurement runs in a second process,
because Django reads where its databases are once, when it starts.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from django.core.management.base import CommandParser

from chronicle.bench.groups import GROUPS, measure
from chronicle.bench.scratch import REPOSITORY, scratch_stack
from chronicle.processes import LeanCommand, spare_the_collector


class Command(LeanCommand):
    help = "Measures engine, relay and projector on servers of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="measure these groups")
        parser.add_argument("--here", action="store_true", help="measure on the databases of the environment")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["here"]:
            from chronicle.bench import report

            # As every process that takes commands does.
            spare_the_collector()
            report.print_table(measure(options["only"]))
            return
        # Each group on servers of its own, so that no history is the next one's ballast.
        for name in options["only"]:
            with scratch_stack() as environment:
                again = [sys.executable, str(REPOSITORY / "manage.py"), "bench_ledger", "--here", "--only", name]
                if code := subprocess.run(again, env=environment, check=False).returncode:
                    sys.exit(code)
