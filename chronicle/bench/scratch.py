"""A PostgreSQL and a NATS for one benchmark, durable as in production, in a folder that is removed after it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from chronicle.stack.nats import NatsServer
from chronicle.stack.nats_release import find_nats_server
from chronicle.stack.ports import ReservedPort
from chronicle.stack.postgres import EmbeddedPostgres

REPOSITORY = Path(__file__).resolve().parents[2]
START_S_MAX = 60.0
POLL_S = 0.05


@contextmanager
def scratch_stack() -> Iterator[dict[str, str]]:
    """Start the servers, migrate, and yield the environment that reaches them."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="chronicle-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = EmbeddedPostgres.at(folder / "postgres")
        postgres.prepare()
        # Looking all the time for what has become visible would take a tenth of a core from what is measured.
        command = [*postgres.command(), "-c", "track_commit_timestamp=on"]
        stack.enter_context(_running(command, signal.SIGINT, folder, postgres.popen_options()))
        _wait(postgres.is_ready)
        postgres.create_databases()
        port = ReservedPort()
        nats = NatsServer.create(folder / "nats", port.number)
        port.release()
        program = find_nats_server(REPOSITORY / ".cache" / "bin")
        stack.enter_context(_running(nats.command(program), signal.SIGTERM, folder, {}))
        _wait(lambda: asyncio.run(nats.is_ready()))
        environment = {
            **os.environ,
            "CHRONICLE_DATA": str(folder),
            "DATABASE_URL": postgres.url("portal"),
            "EVENT_STORE_URL": postgres.url("event_store", "chronicle_app"),
            "EVENT_STORE_OWNER_URL": postgres.url("event_store"),
            "READ_MODEL_URL": postgres.url("read_model"),
            "NATS_URL": nats.url,
            "SECRET_KEY": secrets.token_hex(32),
        }
        migrate = [sys.executable, str(REPOSITORY / "manage.py"), "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, check=True)
        yield environment


@contextmanager
def _running(command: list[str], stop_signal: int, folder: Path, options: dict[str, Any]) -> Iterator[None]:
    with (folder / "servers.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    try:
        yield
    finally:
        process.send_signal(stop_signal)
        process.wait(START_S_MAX)


@contextmanager
def worker(command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a management command (the relay, the projector) beside the measurement."""
    process = subprocess.Popen([sys.executable, str(REPOSITORY / "manage.py"), command], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(START_S_MAX)


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a server for the benchmark did not start")
        time.sleep(POLL_S)
