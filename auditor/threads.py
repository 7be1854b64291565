"""The portal's own threads, for asking a database from a coroutine.

Channels' default is one thread for the whole process, behind which every client's catching up would queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chronicle.kept_connections import look_after

# More would take the event store's pooled connections from those who write.
THREADS = 3
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="portal")


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function that asks a database in one of the portal's threads; their connections are kept."""
    return await asyncio.get_running_loop().run_in_executor(_executor, _with_connections, function, arguments)


def _with_connections(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    look_after()
    return function(*arguments)
