"""A figure is a median with its spread and the floor it is held against; the table says on what machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

Spread = tuple[float, float, float]  # median, minimum, maximum


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    unit: str
    floor: float | None  # None: shown for comparison, held against nothing
    spread: Spread
    lower_is_better: bool = False

    @property
    def is_met(self) -> bool:
        if self.floor is None:
            return True
        return self.spread[0] <= self.floor if self.lower_is_better else self.spread[0] >= self.floor


def summary(values: list[float]) -> Spread:
    return statistics.median(values), min(values), max(values)


def rate(once: Callable[[], int], rounds: int) -> Spread:
    """Return how many per second `once` does, over several rounds after one that does not count."""
    once()
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        count = once()
        rates.append(count / (time.perf_counter() - started))
    return summary(rates)


def machine() -> str:
    """Describe what the figures were taken on."""
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} × {_processor()}, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def print_table(figures: Iterable[Figure]) -> None:
    console = Console(width=None if os.isatty(1) else 130)
    console.print(machine())
    table = Table("what", "median", "min", "max", "unit", "asked", "", title="Chronicle Ledger")
    for figure in figures:
        median, low, high = (f"{value:,.1f}" if value < 100 else f"{value:,.0f}" for value in figure.spread)
        table.add_row(figure.name, median, low, high, figure.unit, *_verdict(figure))
    console.print(table)


def _verdict(figure: Figure) -> tuple[str, str]:
    if figure.floor is None:
        return "", ""
    asked = f"{'≤' if figure.lower_is_better else '≥'} {figure.floor:,.4g}"
    return asked, "met" if figure.is_met else "missed"
