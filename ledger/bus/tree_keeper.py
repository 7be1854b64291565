"""The relay's third loop: extends the Merkle tree behind the journal and signs its head.

It reads only what is committed, so it can be killed anywhere, lag, or run many times over; the sequencer
does not wait for it. An event gets a head at once when the ledger is quiet, within HEAD_INTERVAL_S under load.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import structlog

from ledger.errors import CommitUnknown, StoreConflict, StoreUnavailable
from ledger.store import log_key, succession, tree, tree_heads
from ledger.store.connection import dedicated_connection
from ledger.store.signed_note import InvalidNote
from ledger.store.succession import SuccessionBroken, Trust
from ledger.store.tiles import Frontier
from ledger.store.tree import Connection, TreeIncomplete
from ledger.store.tree_head_note import TreeHead
from ledger.store.tree_heads import HistoryContradicted

log = structlog.get_logger()
# Between two heads under load: small enough for an auditor who waits for a proof, and 31 million rows a year.
HEAD_INTERVAL_S = 1.0
POLL_S = 1.0  # what a lost wake-up costs at most, and the pause after a failure
# What only a person can put right. The ledger goes on without new heads, and says so every time.
INCIDENTS = (HistoryContradicted, TreeIncomplete, InvalidNote, log_key.LogKeyUnusable, SuccessionBroken)


class TreeExtender:
    """Extends and signs, one call after the other, with what it remembers between them."""

    def __init__(self) -> None:
        self._frontier: Frontier | None = None
        self._signed_size = 0

    def advance(self, conn: Connection) -> int:
        """Bring tiles and head up to the journal's head and return the tree's size.

        Raises: StoreConflict when another relay did it first, StoreUnavailable, CommitUnknown, and INCIDENTS.
        """
        try:
            return self._advance(conn)
        except Exception:
            self._frontier = None  # it may be ahead of the tables: the next call reads them
            raise

    def _advance(self, conn: Connection) -> int:
        if self._frontier is None:
            self._frontier = tree.load_frontier(conn)
            last = tree_heads.last(conn)
            self._signed_size = last.tree_size if last else 0
            # A log that has heads has a key: making another because the file is gone would begin a second log.
            own = log_key.load_or_create_signer() if last is None else log_key.load_signer()
            tree_heads.check_memory(conn, Trust(own.name, (own.verifier,), succession.changes(conn)))
        size = tree.journal_size(conn)
        if size < self._signed_size:
            raise HistoryContradicted(
                f"a head over {self._signed_size} positions was signed, and the journal has {size}"
            )
        if size == self._signed_size:
            return size
        tree.extend(conn, self._frontier, size)
        # Asked each time, one probe: from the position on where the log names another key, that one signs.
        signer = succession.signer_at(succession.changes(conn), size)
        tree_heads.sign(conn, signer, TreeHead(signer.name, size, self._frontier.root()))
        self._signed_size = size
        log_key.install(signer)
        return size


class TreeKeeper:
    def __init__(self) -> None:
        self._extender = TreeExtender()
        self._wakeup = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tree")
        self._resources = ExitStack()
        self._connection: Connection | None = None

    def wake(self) -> None:
        """The journal has grown."""
        self._wakeup.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; `close` does the rest."""
        while not stop.is_set():
            started_at = time.monotonic()
            self._wakeup.clear()
            await self._advance_once()
            await _wait(stop, started_at + HEAD_INTERVAL_S - time.monotonic())
            if not stop.is_set():
                await _wait(self._wakeup, POLL_S)

    async def close(self) -> None:
        """Put what was sequenced last under a head, and let go of the connection."""
        await self._advance_once()
        self._thread.submit(self._resources.close).result()
        self._thread.shutdown()

    async def _advance_once(self) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._advance)
        except INCIDENTS as error:
            log.error("incident: no tree head can be signed", error=str(error))
        except (StoreConflict, StoreUnavailable, CommitUnknown) as error:
            log.info("the tree was not extended, trying again", code=error.code, error=str(error))

    def _advance(self) -> None:
        if self._connection is None or self._connection.closed:
            self._resources.close()
            self._connection = self._resources.enter_context(dedicated_connection())
        try:
            self._extender.advance(self._connection)
        except (StoreUnavailable, CommitUnknown):
            self._connection.close()
            raise


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
