"""A launcher in a process of its own, as a person would start it, for the tests of `make run`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from typing import Any

import psutil

from chronicle.stack.ports import LOOPBACK, ReservedPort
from chronicle.stack.processes import is_alive, stop
from tests.scratch import ScratchFolder
from tests.servers import REPOSITORY
from tests.waiting import wait_for

# What this test process was given, or has set for itself, is nothing that a person's terminal has.
OWN_VARIABLES = ("EVENT_STORE_URL", "EVENT_STORE_OWNER_URL", "READ_MODEL_URL", "DATABASE_URL", "NATS_URL", "SECRET_KEY")
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 90.0
COMMAND = [sys.executable, "-m", "chronicle.stack"]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    return {**kept, "DEMO": "0", **variables}


def refuse(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run a launcher that is expected to leave by itself, at once."""
    return subprocess.run(
        COMMAND, cwd=REPOSITORY, env=environment(**variables), capture_output=True, text=True, timeout=START_TIMEOUT_S
    )


class Folder:
    """A data folder and a port for one stack, over several starts."""

    def __init__(self) -> None:
        self.scratch = ScratchFolder()
        self.path = self.scratch.path / "data"
        self.path.mkdir()
        self.port = ReservedPort().release()

    def remove(self) -> None:
        self.scratch.remove()

    def start(self, **variables: str) -> Launched:
        return Launched(self, **variables)

    def variables(self) -> dict[str, str]:
        return {"CHRONICLE_DATA": str(self.path), "PORT": str(self.port)}

    def json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.path / name).read_text())
        return content

    def running(self) -> dict[str, psutil.Process]:
        """The children that the launcher says it has, as processes; one may have died since it said so."""
        found = {}
        for name, record in self.json("processes.json").items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[name] = psutil.Process(int(record["pid"]))
        return found


class Launched:
    """One started launcher. As a context manager it is killed, children and all, when a test fails."""

    def __init__(self, folder: Folder, **variables: str) -> None:
        self.folder = folder
        self.log = folder.path / "launcher.log"
        self._seen: set[psutil.Process] = set()
        with self.log.open("wb") as stream:
            # A group of its own, as a terminal gives to what it starts.
            self.process = subprocess.Popen(
                COMMAND,
                cwd=REPOSITORY,
                env=environment(**folder.variables(), **variables),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        folder.scratch.remember("launcher", self.process.pid, signal.SIGTERM)

    def __enter__(self) -> Launched:
        return self

    def __exit__(self, *exception: object) -> None:
        self.children()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            for child in self._seen:
                stop(child, signal.SIGKILL, STOP_TIMEOUT_S)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_line(self, part: str, timeout_s: float = START_TIMEOUT_S) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None, f"the launcher left with {self.process.returncode}:\n{self.text()}"
            return part in self.text()

        wait_for(is_there, f"the line {part!r} in:\n{self.log}", timeout_s)

    def wait_until_ready(self) -> Launched:
        self.wait_for_line(f"is ready at http://{LOOPBACK}:{self.folder.port}/")
        return self

    def children(self) -> set[psutil.Process]:
        """Every descendant that is alive, and remember them all."""
        if self.process.poll() is None:
            self._seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        return {child for child in self._seen if is_alive(child)}

    def is_answering(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.folder.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the launcher's whole group, as a terminal does, and return the exit code."""
        self.children()
        os.killpg(self.process.pid, signal_number)
        return self.process.wait(STOP_TIMEOUT_S)
