"""Waits for a condition with a deadline. No test sleeps for a length of time that it hopes is enough."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")

# Short enough that a test does not get slower for it, long enough that a check costs nothing.
POLL_INTERVAL_S = 0.05
# A first start on a slow disk, or a recovery after a crash, on a machine that does other things too.
READY_TIMEOUT_S = 60.0


def wait_for(condition: Callable[[], Answer], what: str, timeout_s: float = READY_TIMEOUT_S) -> Answer:
    """Return the condition's answer as soon as it is a true one; fail with `what` when it is not in time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        pause.wait(POLL_INTERVAL_S)
    return answer


async def eventually(condition: Callable[[], bool], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Return as soon as the condition holds, and let the event loop work until then."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(POLL_INTERVAL_S)  # between two looks, as in `wait_for`
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:.0f} s: {what}") from None


def wait_until_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    """Return as soon as a server answers; fail with its log when it stops instead."""

    def is_ready_or_dead() -> bool:
        assert process.poll() is None, f"the server stopped:\n{log.read_text()}"
        return is_ready()

    wait_for(is_ready_or_dead, f"a server that answers; see {log}")
