"""`manage.py expire_keys`: removes idempotency keys older than IDEMPOTENCY_KEY_DAYS, as the event store's owner.

With `--daily` it does so at once and then once a day, until SIGTERM or Ctrl-C; any number may run. Exit 0: done.
2: the setting promises less than a day. 3: the event store does not let the owner in (with `--daily` it tries again).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress, TextColumn

from chronicle.processes import MISSING, USAGE, LeanCommand, run_until_stopped
from ledger.errors import StoreConflict, StoreUnavailable
from ledger.key_expiry import daily
from ledger.store import keys

DAYS_MIN = 1  # the database refuses to remove younger ones


class Command(LeanCommand):
    help = "Removes idempotency keys older than IDEMPOTENCY_KEY_DAYS, as the event store's owner."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--daily", action="store_true", help="do it now and once a day, until it is stopped")

    def handle(self, *args: Any, **options: Any) -> None:
        days: int = settings.IDEMPOTENCY_KEY_DAYS
        if days < DAYS_MIN:
            raise CommandError(f"IDEMPOTENCY_KEY_DAYS is {days}, and {DAYS_MIN} at least", returncode=USAGE)
        # As the owner it deletes: not while somebody has the locks on history open. See ledger.checks.
        self.require_locks()
        if options["daily"]:
            run_until_stopped(lambda stop: daily(stop, days))
            return
        seen = removed = 0
        console = Console(stderr=True)
        with Progress(TextColumn("{task.description}"), console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("")
            try:
                for swept in keys.remove_older_than(timedelta(days=days)):
                    seen, removed = seen + swept.seen, removed + swept.removed
                    bar.update(task, description=f"{seen:,} keys looked at, {removed:,} removed")
            except (StoreConflict, StoreUnavailable) as error:
                raise CommandError(f"{error}; {removed} keys were removed", returncode=MISSING) from error
        self.stdout.write(f"{removed} of {seen} keys were older than {days} days and are removed")
