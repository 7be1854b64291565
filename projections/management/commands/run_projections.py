"""`manage.py run_projections`: runs one projector until SIGTERM or Ctrl-C. Any number may run; one is active."""

from __future__ import annotations

from typing import Any

from chronicle.processes import LeanCommand, run_until_stopped
from projections.runner import run_projections


class Command(LeanCommand):
    help = "Applies the journal's events to the read models."

    def handle(self, *args: Any, **options: Any) -> None:
        # What is read could have been changed if the locks on history were off: see ledger.checks.
        self.require_locks()
        run_until_stopped(run_projections)
