"""Free ports on the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from chronicle.stack.errors import StackError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Return whether a server could listen here now."""
    with socket.socket() as probe:
        probe.settimeout(1)
        # On macOS a server on every address would not keep the next line from binding one of them.
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as probe:
        # As servers do: a port of which only closed connections remain is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def first_free(candidates: Iterable[int]) -> int:
    for port in candidates:
        if is_free(port):
            return port
    raise StackError("No free port was found on the loopback address.")


class ReservedPort:
    """A free port that no other program is given until `release`, right before the server takes it."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> int:
        self._socket.close()
        return self.number
