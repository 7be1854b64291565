"""`manage.py verify_consistency`: compares the read models with a fresh fold of the event store.

Names every difference. Exits with 1 on any, and with 2 for an account that the event store does not have.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from chronicle.processes import CHECK_FAILED, USAGE, LeanCommand, spare_the_collector
from ledger.domain.errors import AccountNotFound, InvalidAccountId
from ledger.domain.instants import parse_instant
from projections.consistency import run


class Command(LeanCommand):
    help = "Compares the read models with a fresh fold of the event store."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", help="only this account's rows")
        parser.add_argument("--since", metavar="INSTANT", help="only what was recorded from this instant on (RFC 3339)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            since = parse_instant(options["since"]) if options["since"] else None
        except ValueError as error:
            raise CommandError(f"{options['since']} is no instant: {error}", returncode=USAGE) from error
        spare_the_collector()
        found, reached = 0, 0
        with Progress(console=Console(file=self.stderr)) as bar:  # type: ignore[arg-type]
            task = bar.add_task("comparing", total=None)

            def progress(position: int, up_to: int) -> None:
                nonlocal reached
                reached = position
                bar.update(task, completed=position, total=up_to)

            try:
                for finding in run.check(progress, options["account"], since):
                    found += 1
                    self.stdout.write(str(finding))
            except (AccountNotFound, InvalidAccountId) as error:
                raise CommandError(f"{error.code}: {error}", returncode=USAGE) from error
        if found:
            self.stderr.write(self.style.ERROR(f"{found} differences up to position {reached}"))
            sys.exit(CHECK_FAILED)
        self.stdout.write(f"the read models are the fold of the event store, up to position {reached}")
