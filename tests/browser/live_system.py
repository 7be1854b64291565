"""The whole system as its own processes, on the tests' servers: daphne, a relay, a projector, and the three users.

`ChannelsLiveServerTestCase` is not used: it re-points only the `default` alias, and it runs the web server in
the test's process, where a feed that blocks would go unnoticed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from chronicle.stack.ports import LOOPBACK, ReservedPort
from tests.servers import REPOSITORY, run_manage
from tests.waiting import wait_until_ready

STOP_TIMEOUT_S = 60
PING_INTERVAL_S, PING_TIMEOUT_S = 5, 5


@dataclass
class LiveSystem:
    """Running processes by name, and what is needed to talk to them."""

    folder: Path
    port: int
    credentials: dict[str, Any]
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path) -> LiveSystem:
        """Make the users and start everything on migrated databases; return when the sign-in page answers."""
        reserved = ReservedPort()
        file = folder / "credentials.json"
        run_manage("create_demo_users", "--credentials", str(file), "--url", f"http://{LOOPBACK}:{reserved.number}")
        server = cls(folder, reserved.number, json.loads(file.read_text()))
        reserved.release()
        server.start_process("relay")
        server.start_process("projector")
        server.start_process("web")
        return server

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}/ws/events"

    def token_header(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Token {self.credentials[who]['token']}"}

    def start_process(self, name: str) -> None:
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(self._command(name), cwd=REPOSITORY, stdout=output, stderr=output)
        self._processes[name] = process
        if name == "web":
            wait_until_ready(process, self._answers, log)

    def stop_process(self, name: str, with_signal: signal.Signals = signal.SIGTERM) -> None:
        process = self._processes.pop(name)
        process.send_signal(with_signal)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def freeze(self, name: str) -> None:
        """Let a process stand still with its connections open."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for name in reversed(list(self._processes)):
            self.stop_process(name)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def _command(self, name: str) -> list[str]:
        manage = [sys.executable, str(REPOSITORY / "manage.py")]
        if name == "relay":
            return [*manage, "relay_events"]
        if name == "projector":
            return [*manage, "run_projections"]
        # Pings far more often than in production, so that a client that is gone is noticed within a test.
        pings = ["--ping-interval", str(PING_INTERVAL_S), "--ping-timeout", str(PING_TIMEOUT_S)]
        address = ["--bind", LOOPBACK, "--port", str(self.port)]
        return [sys.executable, "-m", "daphne", *address, *pings, "--verbosity", "0", "chronicle.asgi:application"]

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/admin/login/", timeout=5) as answer:  # noqa: S310 (our own address)
                return bool(answer.status == 200)
        except (URLError, TimeoutError):
            return False
