"""The folder that holds everything a started stack keeps: data, addresses, credentials, the lock.

One launcher at a time: the lock is an flock, which the kernel lets go when its holder dies, so it is never
stale. The processes of a launcher that was killed are another matter: see `leftovers.py`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from chronicle.stack.errors import StackError
from chronicle.stack.files import write_private

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class DataFolder:
    """`$CHRONICLE_DATA`; a relative path counts from the repository, as it does in the settings."""

    def __init__(self, path: str) -> None:
        self.path = (REPOSITORY / path).resolve()
        self._lock: IO[str] | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"The data folder {self.path} cannot be made ({error.strerror}).") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise StackError(f"The data folder {self.path} cannot be written to.")

    def lock(self) -> None:
        """Take the folder for this process until it ends.

        **Raises** StackError when a living launcher has it.
        """
        stream = (self.path / "launcher.lock").open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            stream.close()
            raise StackError(
                f"Another launcher (pid {holder}) already uses {self.path}; stop it or give another CHRONICLE_DATA."
            ) from error
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        self._lock = stream

    def unlock(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def secret_key(self) -> str:
        """Return this installation's own SECRET_KEY, made once, so that sessions outlive a restart."""
        path = self.path / "secret_key"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(50))
        key = path.read_text(errors="replace").strip()
        if not key:
            raise StackError(f"{path} is empty; remove it and start again.")
        return key

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Leave the addresses where the settings of a `manage.py` in another terminal look for them."""
        lines = [f"{name}={value}\n" for name, value in variables.items()]
        write_private(self.path / "environment", "# Written at every start of the stack.\n" + "".join(lines))

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials.json"
