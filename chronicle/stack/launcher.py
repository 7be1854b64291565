"""Starts the parts in order, waits until the whole answers, says where it is, and stops in the other order.

Each part is under supervision from its first moment. The launcher ends in one of two ways: it is asked to
(SIGINT, SIGTERM, SIGHUP, or nobody reads its output any more), or a part is given up, which is a StackError.
Either way everything it started is stopped before it leaves, and the data stays.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from chronicle.stack import programs
from chronicle.stack.announcement import announcement
from chronicle.stack.errors import StackError
from chronicle.stack.leftovers import StartedProcesses
from chronicle.stack.output import Output
from chronicle.stack.plan import Plan
from chronicle.stack.readiness import Readiness
from chronicle.stack.supervisor import Program, Supervised, describe

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A first start on a slow disk, or a recovery after a crash.
SERVER_TIMEOUT_S = 90.0
# A projector that has a long history to catch up with.
READY_TIMEOUT_S = 900.0
POLL_INTERVAL_S = 0.1
# How often a start that takes long says what it is waiting for.
PATIENCE_S = 15.0


class Launcher:
    """One run of the stack."""

    def __init__(self, plan: Plan, nats_program: Path | None, output: Output, processes: StartedProcesses) -> None:
        self._plan = plan
        self._nats_program = nats_program
        self._output = output
        self._processes = processes
        self._supervised: list[Supervised] = []

    async def run(self) -> None:
        """Run until asked to stop.

        **Raises** StackError when a part cannot be kept running.
        """
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._output.on_closed = self._ask_to_stop
        for signal_number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(signal_number, self._ask_to_stop)
        starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait({starting, self._end}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await self._end
        finally:
            starting.cancel()
            await asyncio.wait({starting})
            self._output.say("stopping")
            await self._stop()
            self._output.say(f"stopped; the data stays in {self._plan.folder.path}")

    async def _start(self) -> None:
        plan = self._plan
        if postgres := plan.postgres:
            self._supervise(programs.postgres_program(postgres))
            await self._until(lambda: asyncio.to_thread(postgres.is_ready), "PostgreSQL", SERVER_TIMEOUT_S)
            await asyncio.to_thread(postgres.create_databases)
            # `migrate` makes it where it is missing, but first looks around as the application.
            await asyncio.to_thread(postgres.create_role, plan.role)
        if plan.nats:
            assert self._nats_program is not None, "an embedded nats-server has a program"
            self._supervise(programs.nats_program(plan.nats, self._nats_program))
            await self._until(plan.nats.is_ready, "nats-server", SERVER_TIMEOUT_S)
        for program in (programs.migrate(plan), programs.create_users(plan)):
            if code := await self._complete(program):
                raise StackError(f"{program.name} left with {describe(code)}; its lines above say why.")
        for program in programs.services(plan):
            self._supervise(program)
        readiness = Readiness(plan.port)
        await self._until(lambda: asyncio.to_thread(readiness.ask), readiness, READY_TIMEOUT_S)
        for line in announcement(plan):
            self._output.say(line)
        if plan.with_demo:
            await self._demo()

    async def _demo(self) -> None:
        """Load a little traffic once per data folder, then let a trickle run. The ledger does without it."""
        marker = self._plan.folder.path / "demo_loaded"
        if not marker.exists():
            if code := await self._complete(programs.demo_load(self._plan)):
                self._output.say(f"the demo traffic left with {describe(code)}; the ledger runs without it")
                return
            marker.touch()
        self._supervise(programs.demo_trickle(self._plan))

    def _supervise(self, program: Program) -> None:
        self._output.say(f"starting {program.name}")
        supervised = Supervised(program, self._output, self._processes)
        self._supervised.append(supervised)
        supervised.start(self._on_end)

    async def _complete(self, program: Program) -> int:
        """Run a program to its end and return its exit code."""
        supervised = Supervised(program, self._output, self._processes)
        self._supervised.append(supervised)
        code = await supervised.complete()
        self._supervised.remove(supervised)
        return code

    async def _until(self, is_ready: Callable[[], Awaitable[bool]], what: object, timeout_s: float) -> None:
        started_at = time.monotonic()
        reminder_at = started_at + PATIENCE_S
        while not await is_ready():
            now = time.monotonic()
            if now - started_at > timeout_s:
                raise StackError(f"{what} did not become ready within {timeout_s:.0f} s.")
            if now > reminder_at:
                self._output.say(f"still waiting for {what}")
                reminder_at = now + PATIENCE_S
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _stop(self) -> None:
        for supervised in reversed(self._supervised):
            await supervised.stop()

    def _ask_to_stop(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error and not self._end.done():
            self._end.set_exception(error)
