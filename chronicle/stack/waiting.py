"""Waits for a condition with a deadline, for the parts of the launcher and the tests that are not asynchronous."""

from __future__ import annotations

import time
from collections.abc import Callable

from chronicle.stack.errors import StackError

# Short enough that a start does not feel slower for it, long enough that a check costs nothing.
POLL_INTERVAL_S = 0.05


def wait_for(condition: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    """Return as soon as the condition holds.

    **Raises** StackError with the sentence `otherwise` when it does not hold in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"{otherwise} within {timeout_s:.0f} s.")
        time.sleep(POLL_INTERVAL_S)
