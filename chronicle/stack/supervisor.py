"""Keeps one program running: starts it, prints what it prints, starts it again when it dies, stops it.

Every program runs in a session of its own, so that Ctrl-C in the terminal reaches the launcher only and the
programs are stopped in order. Restarts wait longer each time, and a program that dies again and again ends
the stack with one sentence instead of filling the terminal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chronicle.stack.errors import StackError
from chronicle.stack.leftovers import StartedProcesses
from chronicle.stack.output import Output

# 0.5, 1, 2, 4, 8, 15, 15 s: long enough together for PostgreSQL to recover from a crash.
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 15.0
DEATHS_IN_A_ROW_MAX = 8
# Whoever ran this long was not dying of its start.
STABLE_AFTER_S = 30.0
# What a program printed last is read to its end, unless a grandchild keeps the pipe open.
LAST_OUTPUT_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Program:
    """What to run and how to stop it."""

    name: str
    command: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 15.0
    # Called in a thread before every start, the first one included.
    prepare: Callable[[], None] | None = None
    # Whether leaving with 0 means that its work is done, not that it died.
    may_finish: bool = False


class Supervised:
    """One program under supervision."""

    def __init__(self, program: Program, output: Output, processes: StartedProcesses) -> None:
        self.program = program
        self._output = output
        self._processes = processes
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    def start(self, on_end: Callable[[asyncio.Task[None]], None]) -> None:
        """Start it and keep it running; `on_end` gets the task when supervision ends, with its exception."""
        self._task = asyncio.create_task(self._keep_running(), name=self.program.name)
        self._task.add_done_callback(on_end)

    async def complete(self) -> int:
        """Run it once, to its end, and return its exit code."""
        running = asyncio.create_task(self._run_once(), name=self.program.name)
        self._task = running
        # Whoever stops waiting for it has to stop it, too: only `stop` ends the task.
        return await asyncio.shield(running)

    async def stop(self) -> None:
        """Stop it: with its own signal first, and by force when that takes too long."""
        self._stopping.set()
        if self._task is None:
            return
        self._send(self.program.stop_signal)
        await asyncio.wait({self._task}, timeout=self.program.stop_timeout_s)
        if not self._task.done():
            self._output.say(f"{self.program.name} did not stop in {self.program.stop_timeout_s:.0f} s and is killed")
            self._kill()
            await asyncio.wait({self._task})

    async def _keep_running(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            if self.program.prepare:
                await asyncio.to_thread(self.program.prepare)
            started_at = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set() or (code == 0 and self.program.may_finish):
                return
            deaths = 1 if time.monotonic() - started_at > STABLE_AFTER_S else deaths + 1
            if deaths >= DEATHS_IN_A_ROW_MAX:
                raise StackError(f"{self.program.name} died {deaths} times in a row, last with {describe(code)}.")
            delay_s = backoff_s(deaths)
            self._output.say(f"{self.program.name} died with {describe(code)}; starting it again in {delay_s:g} s")
            await _sleep_unless(self._stopping.wait(), delay_s)

    async def _run_once(self) -> int:
        # The exit code is negative for the signal that ended it.
        self._process = await asyncio.create_subprocess_exec(
            *self.program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **{"start_new_session": True, **self.program.options},
        )
        self._processes.add(self.program.name, self._process.pid, self.program.stop_signal)
        if self._stopping.is_set():
            # Asked to stop while it was being started.
            self._send(self.program.stop_signal)
        assert self._process.stdout is not None, "stdout is a pipe"
        copying = asyncio.create_task(self._output.copy(self.program.name, self._process.stdout))
        code = await self._process.wait()
        await asyncio.wait({copying}, timeout=LAST_OUTPUT_TIMEOUT_S)
        copying.cancel()
        self._processes.remove(self.program.name)
        return code

    def _send(self, signal_number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal_number)

    def _kill(self) -> None:
        if self._process and self._process.returncode is None:
            # Its whole session, so that no grandchild stays.
            os.killpg(self._process.pid, signal.SIGKILL)


def backoff_s(deaths: int) -> float:
    return min(BACKOFF_FIRST_S * 2 ** (deaths - 1), BACKOFF_MAX_S)


def describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


async def _sleep_unless(event: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(event, seconds)
    except TimeoutError:
        return
