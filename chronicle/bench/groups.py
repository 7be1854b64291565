"""The groups of measurements, in the order in which the table lists them; `bench_ledger --only` picks some.

A group is a function that yields figures. Each seeds what it needs by real commands, so any of them runs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

from chronicle.bench.report import Figure

Group = Callable[[], Iterable[Figure]]

# Imported when it is its turn: what one group needs must not cost another its start.
GROUPS = {
    "spine": "chronicle.bench.spine",
    "engine": "chronicle.bench.engine",
    "http": "chronicle.bench.http",
    "lag": "chronicle.bench.lag",
    "rebuild": "chronicle.bench.rebuild",
    "travel": "chronicle.bench.travel",
    "seals": "chronicle.bench.seals",
    # Last, because it alone takes what the tests take.
    "portal": "chronicle.bench.portal",
}


def measure(names: Iterable[str]) -> Iterator[Figure]:
    """Yield the figures of these groups, as each is measured."""
    for name in names:
        group: Group = import_module(GROUPS[name]).measure_all
        yield from group()
