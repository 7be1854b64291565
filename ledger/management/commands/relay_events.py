"""`manage.py relay_events`: runs one relay until SIGTERM or Ctrl-C. Any number may run."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from django.core.management.base import CommandParser

from chronicle.processes import MISSING, LeanCommand, run_until_stopped
from ledger.bus import relay
from ledger.bus.publisher import ForeignStream


class Command(LeanCommand):
    help = "Orders accepted commands into the journal and publishes them to JetStream."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--replace-stream", action="store_true", help="first delete a stream that another event store filled"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # What it orders could be changed again if the locks on history were off: see ledger.checks.
        self.require_locks()
        if options["replace_stream"]:
            asyncio.run(relay.delete_stream())
        try:
            run_until_stopped(relay.relay_events)
        except* ForeignStream as group:
            self.stderr.write(self.style.ERROR(str(group.exceptions[0])))
            sys.exit(MISSING)
