"""The portal's own threads, for asking a database from a coroutine.

Channels' default is one thread for the whole process, behind which every client's catching up would queue.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from channels.db import database_sync_to_async

# More would take the event store's pooled connections from those who write.
THREADS = 3
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="portal")


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function that asks a database in one of the portal's threads."""
    return await database_sync_to_async(function, thread_sensitive=False, executor=_executor)(*arguments)
