"""`manage.py retry_parked [PROJECTION]`: tries parked events again, oldest first, after what was wrong is mended.

Exits with 1 when some stay parked, and with 2 for a projection that does not exist.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser

from chronicle.processes import CHECK_FAILED, USAGE, LeanCommand
from projections import parking
from projections.connection import read_model_connection
from projections.projection import by_name, registry


class Command(LeanCommand):
    help = "Tries parked events again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("projection", nargs="?", help="only this projection's; all without it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            projections = (by_name(options["projection"]),) if options["projection"] else registry()
        except LookupError as error:
            self.stderr.write(self.style.ERROR(str(error.args[0])))
            sys.exit(USAGE)
        still_parked = 0
        with read_model_connection() as connection:
            for projection in projections:
                retried = parking.retry(connection, projection)
                still_parked += retried.still_parked
                if retried.applied or retried.still_parked:
                    self.stdout.write(
                        f"{projection.name}: {retried.applied} applied, {retried.still_parked} still parked"
                    )
        if still_parked:
            sys.exit(CHECK_FAILED)
        self.stdout.write("nothing is parked")
