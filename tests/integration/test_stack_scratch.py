"""A test run that is killed leaves servers behind only until the next one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from chronicle.stack.processes import is_alive
from tests import scratch
from tests.servers import REPOSITORY
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(300)
PROBE = """
import pathlib, threading

def test_waits_for_its_end(stack):
    pathlib.Path({ready!r}).write_text(str(stack.folder))
    threading.Event().wait()
"""


@pytest.fixture
def killed_run(tmp_path: Path) -> subprocess.Popen[bytes]:
    """A test run of its own that has started its servers; its conftest is the real one."""
    ready = tmp_path / "ready"
    probe = REPOSITORY / "tests" / f"probe_{os.getpid()}.py"
    probe.write_text(PROBE.format(ready=str(ready)))
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    try:
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(probe)],
                cwd=REPOSITORY,
                env=inherited,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: ready.exists() and bool(ready.read_text()), f"servers; see {tmp_path / 'log'}")
    finally:
        probe.unlink()
    return process


def servers_of(folder: Path) -> list[psutil.Process]:
    records = json.loads((folder / "started.json").read_text())
    return [psutil.Process(int(record["pid"])) for record in records.values()]


def test_a_run_that_is_asked_to_end_stops_its_servers(killed_run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    folder = Path((tmp_path / "ready").read_text())
    servers = servers_of(folder)
    assert len(servers) == 2
    killed_run.send_signal(signal.SIGTERM)
    killed_run.wait(60)
    assert not any(is_alive(server) for server in servers)
    assert not folder.exists()


def test_what_a_killed_run_left_is_swept(killed_run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    folder = Path((tmp_path / "ready").read_text())
    servers = servers_of(folder)
    scratch.sweep()
    assert all(is_alive(server) for server in servers), "a living run's servers were swept"
    killed_run.kill()
    killed_run.wait(60)
    scratch.sweep()
    assert not any(is_alive(server) for server in servers)
    assert not folder.exists()
