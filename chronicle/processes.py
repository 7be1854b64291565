"""What our commands share: a start without the portal, and an event loop that ends cleanly on SIGTERM and Ctrl-C.

Exit codes of all commands: 0 done, 1 a check failed, 2 wrong usage, 3 something it needs is not there.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django.db
import psycopg
from django.core.checks import Tags
from django.core.management.base import BaseCommand

from ledger.errors import StoreUnavailable

CHECK_FAILED, USAGE, MISSING = 1, 2, 3
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# SQLSTATE of a server that shut down, crashed, or starts; a connection that broke has none, or one of class 08.
SERVER_STATES = ("57P01", "57P02", "57P03")


class LeanCommand(BaseCommand):
    """A command that starts without what only pages need.

    **Why** Django checks all of the site before any command: for that it loads every view, form and list, half of a
    start's time and a third of its memory, in each worker that never shows a page. `check`, `migrate` and the web
    process check and load all of it.
    """

    requires_system_checks = (Tags.models,)

    def require_locks(self) -> None:
        """Raises: SystemCheckError when somebody could change history, or could have: see ledger.checks."""
        self.check(tags=[Tags.database], databases=["event_store"])


class Stopped(KeyboardInterrupt):
    """Somebody stopped the command. `returncode`: as a shell says it, 128 and the signal's number."""

    returncode = 128


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the first SIGTERM, SIGINT or SIGHUP raise Stopped, so that what was begun is cleared away; ignore later ones.

    **Why** a KeyboardInterrupt: it is what psycopg cancels a running statement for.
    """

    def stop(number: int, frame: Any) -> None:
        for stopping in _STOPPING:
            signal.signal(stopping, signal.SIG_IGN)
        stopped = Stopped()
        stopped.returncode += number
        raise stopped

    before = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def what_is_away(error: BaseException) -> str | None:
    """Return in one sentence what a command ended for, if that was a server that did not answer; else None.

    **Why** a check that could not be made has not failed, and whoever reads exit codes has to tell them apart.
    """
    if isinstance(error, StoreUnavailable):
        return f"{error.code}: {error}"
    cause = error.__cause__ if isinstance(error, django.db.OperationalError) else error
    if not isinstance(cause, psycopg.OperationalError):
        return None
    state = cause.sqlstate
    is_away = state is None or state.startswith("08") or state in SERVER_STATES
    return f"database_unavailable: {str(cause).splitlines()[0]}" if is_away else None


# A batch of a thousand commands makes some fifty thousand objects, none of them in a cycle. With Python's own
# thresholds the collector went through all of Django for each of them: 20 of 100 ms (ADR 11).
GC_THRESHOLDS = (50_000, 20, 100)


def spare_the_collector() -> None:
    """Leave what a process has loaded out of garbage collection, and collect less often. Called when it is set up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def run_until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)` to its end; the first SIGTERM or SIGINT sets `stop`."""

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        spare_the_collector()
        await main(stop)

    asyncio.run(run())
