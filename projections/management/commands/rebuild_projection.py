"""`manage.py rebuild_projection NAME`: builds a read model again beside the live one and switches to it.

Interrupted, it goes on where it was when called again. Exits with 1 when `--require-equal` refused the switch
or it cannot be done now, with 2 for a projection that does not exist, with 128 and the signal's number when stopped.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from chronicle.processes import CHECK_FAILED, USAGE, LeanCommand, Stopped, spare_the_collector, stoppable
from projections import rebuild
from projections.connection import read_model_connection
from projections.intake import ChainBroken
from projections.projection import Projection, by_name
from projections.rebuild import RebuildError


class Command(LeanCommand):
    help = "Builds a read model again beside the live one and switches to it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("projection")
        parser.add_argument("--diff", action="store_true", help="count and show the rows that differ, before a switch")
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--require-equal", action="store_true", help="refuse the switch when a row differs")
        instead.add_argument("--no-switch", action="store_true", help="build, and leave it beside the live one")
        instead.add_argument("--back", action="store_true", help="go back to the set that was live before")
        instead.add_argument("--drop-previous", action="store_true", help="drop the set that was live before")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["diff"] and (options["back"] or options["drop_previous"]):
            raise CommandError("--diff is for a set that was built: it goes with --no-switch", returncode=USAGE)
        try:
            projection = by_name(options["projection"])
        except LookupError as error:
            self.stderr.write(self.style.ERROR(str(error.args[0])))
            sys.exit(USAGE)
        spare_the_collector()
        try:
            with stoppable():
                self._do(projection, options)
        except Stopped as stopped:
            said = f"{projection.name}: stopped; called again, it goes on from what is there"
            raise CommandError(said, returncode=stopped.returncode) from None
        except (RebuildError, ChainBroken) as error:
            self.stderr.write(self.style.ERROR(f"{projection.name}: {error}"))
            sys.exit(CHECK_FAILED)

    def _do(self, projection: Projection, options: dict[str, Any]) -> None:
        if options["drop_previous"]:
            with read_model_connection() as connection:
                dropped = rebuild.drop_previous(connection, projection)
            self.stdout.write(f"{projection.name}: {'previous set dropped' if dropped else 'nothing to drop'}")
            return
        with read_model_connection() as connection, _bar(self) as bar:
            task = bar.add_task(projection.name, total=None)

            def progress(position: int, up_to: int) -> None:
                bar.update(task, completed=position, total=up_to)

            if options["back"]:
                switched = rebuild.go_back(connection, projection, progress)
            else:
                built = rebuild.build(connection, projection, progress)
                if options["no_switch"]:
                    for difference in rebuild.compare(connection, projection) if options["diff"] else ():
                        self.stdout.write(str(difference))
                    self.stdout.write(f"{projection.name}: built up to position {built.position}, not switched")
                    return
                show = (lambda difference: self.stdout.write(str(difference))) if options["diff"] else None
                switched = rebuild.switch(connection, projection, show=show, require_equal=options["require_equal"])
        self.stdout.write(
            f"{projection.name}: switched at position {switched.position}, {switched.parked} events parked"
        )


def _bar(command: Command) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(file=command.stderr),  # type: ignore[arg-type]
    )


class _Rate(TextColumn):
    """Events per second, once there are some."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Any) -> Any:
        return Text(f"{task.speed:,.0f} events/s" if task.speed else "")
