"""`manage.py run_projections`: runs one projector until SIGTERM or Ctrl-C. Any number may run; one is active."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from chronicle.processes import run_until_stopped
from projections.runner import run_projections


class Command(BaseCommand):
    help = "Applies the journal's events to the read models."

    def handle(self, *args: Any, **options: Any) -> None:
        run_until_stopped(run_projections)
