"""One readable stream out of many programs: every line carries the name of the program that printed it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TextIO

LAUNCHER = "chronicle"
NAME_WIDTH = len(LAUNCHER)
# A line that never ends is cut here, so that one program cannot fill the memory of the launcher.
LINE_BYTES_MAX = 64 * 1024
_COLOURS = {
    "postgres": 34, "nats": 35, "migrate": 37, "users": 37, "relay": 33, "projector": 36, "sagas": 36, "holds": 31,
    "web": 32,
}  # fmt: skip
_FAINT, _BOLD = 2, 1


class Output:
    """Writes prefixed lines. `on_closed` is called once when nobody reads them any more."""

    def __init__(self, stream: TextIO, on_closed: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._is_coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self.on_closed = on_closed
        self._is_closed = False

    def say(self, text: str) -> None:
        """Print a line of the launcher's own."""
        self.line(LAUNCHER, text)

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{NAME_WIDTH}} |"
        if self._is_coloured:
            colour = _BOLD if name == LAUNCHER else _COLOURS.get(name, _FAINT)
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self._write(f"{prefix} {text}\n")

    def _write(self, text: str) -> None:
        if self._is_closed:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, OSError):
            # The reader is gone (a closed terminal, `| head`): that ends the stack as Ctrl-C does.
            self._is_closed = True
            self.on_closed()

    async def copy(self, name: str, source: asyncio.StreamReader) -> None:
        """Print everything that a program prints, until it closes its end."""
        rest = b""
        while chunk := await source.read(LINE_BYTES_MAX):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.line(name, line.decode(errors="replace").rstrip("\r"))
        if rest:
            self.line(name, rest.decode(errors="replace"))
