"""Folders for real servers, below the system's temporary one, that do not outlive the tests for long.

Servers run in sessions of their own, so a test run that is killed leaves them behind. Each folder therefore
says whose it is, and the next test run that needs servers stops those whose owner is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import psutil

from chronicle.stack.leftovers import StartedProcesses
from chronicle.stack.processes import is_alive

PREFIX = "chronicle-tests-"
OWNER = "owner.json"


class ScratchFolder:
    """A folder of this test process; `path` is short enough for a socket in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        # PostgreSQL's system user has to pass through.
        self.path.chmod(0o711)
        me = psutil.Process()
        (self.path / OWNER).write_text(json.dumps({"pid": me.pid, "started": me.create_time()}))
        self._processes = StartedProcesses(self.path / "started.json")

    def remember(self, name: str, pid: int, stop_signal: signal.Signals) -> None:
        """Note a process that is to be stopped should this one not live to do it."""
        self._processes.add(name, pid, stop_signal)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def sweep() -> None:
    """Stop and remove what killed test runs left behind."""
    for owner_file in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}"):
        folder = owner_file.parent
        try:
            is_mine = folder.stat().st_uid == os.geteuid()
            if not is_mine or _is_owned(json.loads(owner_file.read_text())):
                continue
        except (FileNotFoundError, json.JSONDecodeError):
            # It is being made or removed right now.
            continue
        # A launcher before its children, which it would start again.
        for records in ("started.json", "data/processes.json"):
            if (folder / records).exists():
                StartedProcesses(folder / records).stop_leftovers(lambda text: None)
        shutil.rmtree(folder, ignore_errors=True)


def _is_owned(owner: dict[str, float]) -> bool:
    try:
        process = psutil.Process(int(owner["pid"]))
    except psutil.NoSuchProcess:
        return False
    return is_alive(process) and abs(process.create_time() - owner["started"]) < 2
