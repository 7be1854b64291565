"""`manage.py expire_holds`: releases holds at their deadline until SIGTERM or Ctrl-C. Any number may run."""

from __future__ import annotations

from typing import Any

from chronicle.hold_expiry import expire_holds
from chronicle.processes import LeanCommand, run_until_stopped


class Command(LeanCommand):
    help = "Releases holds whose deadline has passed."

    def handle(self, *args: Any, **options: Any) -> None:
        # What it decides on could have been changed if the locks on history were off: see ledger.checks.
        self.require_locks()
        run_until_stopped(expire_holds)
