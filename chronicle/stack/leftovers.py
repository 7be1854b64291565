"""Remembers which processes were started, so that a launcher that was killed leaves none behind for good.

A process is known by its pid and the time it started: a pid alone may belong to another program by now.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from chronicle.stack.files import write_private
from chronicle.stack.processes import is_alive, stop

STOP_TIMEOUT_S = 30.0
# The kernel's boot time, from which start times are counted, moves when the clock is set.
CLOCK_TOLERANCE_S = 2.0


class StartedProcesses:
    """The file that names the running children, in the order they were started."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, dict[str, float]] = {}

    def add(self, name: str, pid: int, stop_signal: signal.Signals) -> None:
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            # It is over already, and whoever waits for it will say so.
            return
        self._records[name] = {"pid": pid, "started": started, "stop_signal": int(stop_signal)}
        self._write()

    def remove(self, name: str) -> None:
        self._records.pop(name, None)
        self._write()

    def stop_leftovers(self, say: Callable[[str], None]) -> None:
        """Stop what an earlier launcher left running, the last one started first."""
        for name, pid, started, stop_signal in reversed(self._read()):
            if process := _find(pid, started):
                say(f"stopping {name} (pid {process.pid}), which outlived its launcher")
                if not stop(process, stop_signal, STOP_TIMEOUT_S):
                    stop(process, signal.SIGKILL, STOP_TIMEOUT_S)
        self._write()

    def _read(self) -> list[tuple[str, int, float, int]]:
        """Return what the file says; one that is damaged says nothing, and keeps nobody from starting."""
        try:
            records = json.loads(self._path.read_text())
            return [
                (name, int(record["pid"]), float(record["started"]), int(record["stop_signal"]))
                for name, record in records.items()
            ]
        except (FileNotFoundError, ValueError, AttributeError, KeyError, TypeError):
            return []

    def _write(self) -> None:
        write_private(self._path, json.dumps(self._records, indent=1))


def _find(pid: int, started: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - started) < CLOCK_TOLERANCE_S
    except (psutil.NoSuchProcess, ValueError, OverflowError):  # no process can have such a number
        return None
    return process if is_same and is_alive(process) else None
