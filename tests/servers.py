"""The real PostgreSQL and NATS that the tests run against, started once per test process, and only if needed.

The addresses are known, and in the environment, before Django's settings are read; the servers behind them
start when the first test asks for them, so that unit tests start nothing. Each process (each xdist worker)
has its own folder, servers and databases. With `EVENT_STORE_URL` in the environment the event store is a
scratch database on that server instead, CockroachDB or PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from chronicle.stack.nats import NatsServer
from chronicle.stack.nats_release import find_nats_server
from chronicle.stack.ports import ReservedPort
from chronicle.stack.postgres import EmbeddedPostgres
from tests.scratch import ScratchFolder, sweep
from tests.waiting import wait_until_ready

REPOSITORY = Path(__file__).resolve().parent.parent
STOP_TIMEOUT_S = 60
# Followed by a point and a management command: see there.
KILLED_AT = (sys.executable, "-m", "tests.kill_point")
# Where a nats-server that had to be downloaded is kept between runs.
CACHE = REPOSITORY / ".cache" / "bin"


@dataclass
class Servers:
    """The two servers of one test process and the URLs that reach them."""

    scratch: ScratchFolder
    postgres: EmbeddedPostgres
    nats: NatsServer
    event_store_url: str
    event_store_owner_url: str
    # The server given by the environment and the database that is made on it, both empty when there is none.
    given_server: str
    scratch_database: str
    _port: ReservedPort
    _running: list[tuple[subprocess.Popen[bytes], signal.Signals]] = field(default_factory=list)

    @classmethod
    def describe(cls) -> Servers:
        """Choose a folder and addresses; start nothing."""
        scratch = ScratchFolder()
        postgres = EmbeddedPostgres.at(scratch.path / "postgres")
        port = ReservedPort()
        given_url, given_owner_url = _given_event_store()
        database = f"chronicle_test_{secrets.token_hex(6)}" if given_url else ""
        url = postgres.url("event_store", "chronicle_app")
        owner_url = postgres.url("event_store")
        if given_url:
            url, owner_url = with_database(given_url, database), with_database(given_owner_url, database)
        nats = NatsServer.create(scratch.path / "nats", port.number)
        return cls(scratch, postgres, nats, url, owner_url, given_owner_url, database, port)

    @property
    def folder(self) -> Path:
        return self.scratch.path

    @property
    def nats_pid(self) -> int:
        """The process of the NATS that is running now."""
        return self._running[-1][0].pid

    def environment(self) -> dict[str, str]:
        return {
            "CHRONICLE_DATA": str(self.folder),
            "EVENT_STORE_URL": self.event_store_url,
            "EVENT_STORE_OWNER_URL": self.event_store_owner_url,
            "READ_MODEL_URL": self.postgres.url("read_model"),
            "DATABASE_URL": self.postgres.url("portal"),
            "NATS_URL": self.nats.url,
            "SECRET_KEY": secrets.token_hex(32),
        }

    def start(self) -> None:
        """Start both servers and make the databases."""
        sweep()
        self.postgres.prepare()
        postgres = self._launch(self.postgres.command(durable=False), signal.SIGINT, **self.postgres.popen_options())
        self._port.release()
        nats_server = self._launch_nats()
        wait_until_ready(postgres, self.postgres.is_ready, self.folder / "postgres.log")
        self.postgres.create_databases()
        if self.scratch_database:
            self._on_event_store_server("CREATE DATABASE {}")
        wait_until_ready(nats_server, lambda: asyncio.run(self.nats.is_ready()), self.nats.log_file)

    def restart_nats(self, *, emptied: bool) -> None:
        """Stop NATS, throw its streams away if asked to, and start it again at the same address."""
        process, stop_signal = self._running.pop()
        process.send_signal(stop_signal)
        process.wait(STOP_TIMEOUT_S)
        if emptied:
            shutil.rmtree(self.nats.folder / "jetstream")
        wait_until_ready(self._launch_nats(), lambda: asyncio.run(self.nats.is_ready()), self.nats.log_file)

    def restart_postgres(self, *, killed: bool = False, durable: bool = False) -> None:
        """Stop PostgreSQL, or kill every process of it at once, and start it again on the same data."""
        process, stop_signal = self._running.pop(0)
        if killed:
            server = psutil.Process(process.pid)
            everyone = [server, *server.children(recursive=True)]
            for one in everyone:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            # What is left of it would keep the next one from starting.
            psutil.wait_procs(everyone, STOP_TIMEOUT_S)
        else:
            process.send_signal(stop_signal)
        process.wait(STOP_TIMEOUT_S)
        self.postgres.prepare()
        started = self._launch(self.postgres.command(durable), signal.SIGINT, **self.postgres.popen_options())
        self._running.insert(0, self._running.pop())
        wait_until_ready(started, self.postgres.is_ready, self.folder / "postgres.log")

    def stop(self) -> None:
        """Stop what was started and remove every trace of it. A second call does nothing."""
        self._port.release()
        try:
            if self._running and self.scratch_database:
                # Connections of this process may still be open; the database is nobody else's.
                force = "CASCADE" if self.given_server.startswith("cockroachdb://") else "WITH (FORCE)"
                self._on_event_store_server("DROP DATABASE {} " + force)
        finally:
            self._stop_processes()
            self.scratch.remove()

    def _stop_processes(self) -> None:
        for process, signal_number in self._running:
            process.send_signal(signal_number)
        for process, _ in self._running:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _launch_nats(self) -> subprocess.Popen[bytes]:
        return self._launch(self.nats.command(find_nats_server(CACHE)), signal.SIGTERM, start_new_session=True)

    def _launch(self, command: list[str], stop_signal: signal.Signals, **options: Any) -> subprocess.Popen[bytes]:
        # Every server's log is in the folder, beside its data, for whoever looks into a failure.
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self._running.append((process, stop_signal))
        self.scratch.remember(Path(command[0]).name, process.pid, stop_signal)
        return process

    def _on_event_store_server(self, statement: str) -> None:
        with psycopg.connect(libpq(self.given_server), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self.scratch_database)))


def _given_event_store() -> tuple[str, str]:
    """Return the event store's and its owner's URL as they were given, or two empty strings.

    **Why** a copy is kept: an xdist worker inherits the environment of a process that has already put its own
    scratch database there.
    """
    url = os.environ.setdefault("TESTS_EVENT_STORE_URL", os.environ.get("EVENT_STORE_URL", ""))
    owner_url = os.environ.setdefault("TESTS_EVENT_STORE_OWNER_URL", os.environ.get("EVENT_STORE_OWNER_URL", ""))
    return url, owner_url or url


def run_manage(*arguments: str) -> str:
    """Run a management command in a process of its own and return what it printed."""
    command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"manage.py {' '.join(arguments)} left with {done.returncode}:\n{done.stderr}"
    return done.stdout


def with_database(url: str, name: str) -> str:
    """Return the URL with another database name in it."""
    return re.sub(r"^([a-z]+://[^/?]*)(/[^?]*)?", rf"\1/{name}", url)


def libpq(url: str) -> str:
    return re.sub(r"^cockroachdb://", "postgresql://", url)
