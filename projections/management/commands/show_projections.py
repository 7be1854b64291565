"""`manage.py show_projections`: where each read model stands, proven up to where, how late, and what is parked.

Exits with 1 when one stands under an alarm or has parked events.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console, JustifyMethod
from rich.table import Table

from chronicle.processes import CHECK_FAILED, LeanCommand
from projections import overview
from projections.overview import Overview, Standing


class Command(LeanCommand):
    help = "Shows where each read model stands, up to where it is proven complete, and what is parked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        found = overview.read()
        if options["json"]:
            self.stdout.write(overview.to_json(found))
        else:
            _print(found, Console(file=self.stdout))  # type: ignore[arg-type]
        if not found.is_well:
            sys.exit(CHECK_FAILED)


def _print(found: Overview, console: Console) -> None:
    table = Table(title=f"Read models; the journal's head is at position {found.head}")
    for heading in (
        "projection",
        "version",
        "position",
        "behind",
        "proven to",
        "last minute's lag, p50 / p95 / p99 ms",
        "parked",
        "alarm",
    ):
        justify: JustifyMethod = "left" if heading in ("projection", "alarm") else "right"
        # Whatever the width of the terminal, who it is about can be read.
        table.add_column(heading, justify=justify, no_wrap=heading == "projection")
    for standing in found.projections:
        table.add_row(
            standing.projection,
            f"{standing.version}" if standing.version == standing.code_version else
            f"[red]{standing.version}, code {standing.code_version}[/]",
            str(standing.position),
            str(standing.behind),
            str(standing.proven_to) if standing.is_proven else "[red]not proven[/]",
            _lag(standing),
            f"[red]{standing.parked}[/]" if standing.parked else "0",
            f"[red]{standing.alarm}[/]",
        )  # fmt: skip
    console.print(table)
    for parked in found.parked:
        console.print(
            f"[red]parked[/] {parked.projection}: event {parked.position} {parked.event_type} of "
            f"{parked.aggregate_id}, tried {parked.attempts} times: {parked.reason}",
            highlight=False,
        )


def _lag(standing: Standing) -> str:
    percentiles = standing.lag_percentiles_ms
    return "–" if percentiles is None else " / ".join(f"{lag_ms:.1f}" for lag_ms in percentiles)
