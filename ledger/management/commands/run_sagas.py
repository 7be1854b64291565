"""`manage.py run_sagas`: runs one process manager until SIGTERM or Ctrl-C. Any number may run."""

from __future__ import annotations

import signal
import threading
from typing import Any

from chronicle.processes import LeanCommand
from ledger.bus.nudge import nudge
from ledger.engine import sagas


class Command(LeanCommand):
    help = "Settles transfers in steps, or gives them up and sets free what they reserved."

    def handle(self, *args: Any, **options: Any) -> None:
        # What it decides on could have been changed if the locks on history were off: see ledger.checks.
        self.require_locks()
        stop = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        sagas.run_sagas(stop, nudge)
