"""nats-server with JetStream on the loopback address, as a plain child process.

A password of this installation keeps other users of the machine out; the configuration file that holds it
is readable by its owner only. JetStream's files stay in the data folder, so a second start finds the stream
again, and a lost one is published again from the journal by the relay.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import nats
import nats.errors

from chronicle.stack.errors import StackError
from chronicle.stack.files import write_private
from chronicle.stack.ports import LOOPBACK

USER = "chronicle"
LOG_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class NatsServer:
    """One server: its folder, its port. `create` writes the configuration."""

    folder: Path
    port: int
    password: str

    @classmethod
    def create(cls, folder: Path, port: int) -> NatsServer:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = cls(folder.absolute(), port, _lasting_password(folder / "password"))
        write_private(server._configuration_file, server._configuration())
        return server

    @property
    def url(self) -> str:
        return f"nats://{USER}:{self.password}@{LOOPBACK}:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def command(self, program: Path) -> list[str]:
        return [str(program), "--config", str(self._configuration_file)]

    async def is_ready(self) -> bool:
        try:
            connection = await nats.connect(
                self.url, allow_reconnect=False, connect_timeout=2, reconnect_time_wait=0, error_cb=_refused_attempt
            )
        except (OSError, nats.errors.Error):
            return False
        try:
            await connection.jetstream().account_info()
        except nats.errors.Error:
            return False
        finally:
            await connection.close()
        return True

    @property
    def _configuration_file(self) -> Path:
        return self.folder / "nats-server.conf"

    def _configuration(self) -> str:
        # NATS reads JSON, but for its \u escapes.
        settings = {
            "listen": f"{LOOPBACK}:{self.port}",
            "server_name": "chronicle",
            "jetstream": {"store_dir": str(self.folder)},
            "authorization": {"user": USER, "password": self.password},
            # Fifty lines at every start would bury what matters in the terminal.
            "log_file": str(self.log_file),
            "logfile_size_limit": LOG_BYTES_MAX,
        }
        return json.dumps(settings, indent=2, ensure_ascii=False)


def _lasting_password(path: Path) -> str:
    # The same for every start on this data, so that a service that outlives a restart can sign in again.
    if not path.exists():
        write_private(path, secrets.token_hex(16))
    password = path.read_text().strip()
    if not password:
        raise StackError(f"{path} is empty; remove it and start again.")
    return password


async def _refused_attempt(error: Exception) -> None:
    """Keep nats-py from logging the attempts that `is_ready` makes while the server starts."""
