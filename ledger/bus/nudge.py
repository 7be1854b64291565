"""Wakes the relay after a commit: an empty message on core NATS, sent from a thread of its own.

A nudge is a hint. It is never waited for, never raises, is dropped while NATS is away, and many of them
become one; a lost one costs the relay's polling interval (relay.POLL_S) and nothing else.
"""

from __future__ import annotations

import asyncio
import atexit
from threading import Lock, Thread

import nats.errors
import structlog

from ledger.bus.envelope import NUDGE_SUBJECT
from ledger.bus.jetstream import connected

log = structlog.get_logger()
RECONNECT_S = 1.0
STOP_S_MAX = 2.0
CANCEL_AGAIN_S = 0.1


class Nudger:
    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wanted, self._stopping = asyncio.Event(), asyncio.Event()
        self._is_wanted = False  # what `_wanted` says, readable from any thread: most nudges end here
        self._is_stopped = False

    def nudge(self) -> None:
        """Have a message sent soon. Returns at once, from any thread."""
        if self._is_wanted:
            return
        with self._lock:
            if self._is_stopped:
                return
            self._is_wanted = True
            self._started_loop().call_soon_threadsafe(self._wanted.set)

    def stop(self) -> None:
        """Disconnect and end the thread; later nudges do nothing. A second call does nothing."""
        with self._lock:
            if self._is_stopped or self._loop is None or self._thread is None:
                return
            self._is_stopped = True
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_S_MAX)

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # A daemon, so that a connection attempt that hangs cannot keep the process from ending.
            self._thread = Thread(target=self._run, args=(self._loop,), name="nudge", daemon=True)
            self._thread.start()
            atexit.register(self.stop)
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._serve_until_stopped())

    async def _serve_until_stopped(self) -> None:
        serving = asyncio.create_task(self._serve_for_ever())
        await self._stopping.wait()
        # Again and again: a client that is just connecting may take a cancellation for a failed attempt.
        while not serving.done():
            serving.cancel()
            await asyncio.wait([serving], timeout=CANCEL_AGAIN_S)

    async def _serve_for_ever(self) -> None:
        while True:
            try:
                await self._serve()
            except (nats.errors.Error, OSError) as error:
                log.warning("nudging failed, connecting again", error=str(error) or type(error).__name__)
                await asyncio.sleep(RECONNECT_S)

    async def _serve(self) -> None:
        async with connected("nudge") as client:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                self._is_wanted = False  # before publishing: a commit after this line asks for a message of its own
                if client.is_connected:
                    await client.publish(NUDGE_SUBJECT, b"")


_shared = Nudger()
nudge = _shared.nudge
stop = _shared.stop
