"""What every long-running command shares: an event loop that ends cleanly on SIGTERM and Ctrl-C.

Exit codes of all commands: 0 done, 1 a check failed, 2 wrong usage, 3 something it needs is not there.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

CHECK_FAILED, USAGE, MISSING = 1, 2, 3


def run_until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)` to its end; the first SIGTERM or SIGINT sets `stop`."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        await main(stop)

    asyncio.run(run())
