"""`python -m chronicle.stack`: the whole system on one machine, until Ctrl-C or SIGTERM.

Exit codes: 0 it was asked to stop and did, 2 a variable has a senseless value, 3 something it needs is not
there (one sentence says what). `make run` calls it; make itself turns any failure into its own exit code 2.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from chronicle.stack.data_folder import DataFolder
from chronicle.stack.errors import EXIT_CODE_UNAVAILABLE, StackError
from chronicle.stack.launcher import SIGNALS, Launcher
from chronicle.stack.leftovers import StartedProcesses
from chronicle.stack.nats_release import find_nats_server
from chronicle.stack.output import Output
from chronicle.stack.plan import UsageError, check_forms, check_given, make_plan, read_demo, read_port
from chronicle.stack.ports import is_free

EXIT_CODE_USAGE = 2


class Interrupted(BaseException):
    """A signal that came before the event loop could take it. Not an Exception: nothing may catch it."""


def main() -> int:
    output = Output(sys.stdout)
    for signal_number in SIGNALS:
        signal.signal(signal_number, _interrupt)
    try:
        _run(output)
    except Interrupted:
        output.say("stopped before it had started")
    except UsageError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_CODE_USAGE
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_CODE_UNAVAILABLE
    return 0


def _run(output: Output) -> None:
    port = read_port(os.environ)
    read_demo(os.environ)
    check_forms(os.environ)
    folder = DataFolder(os.environ.get("CHRONICLE_DATA") or ".chronicle")
    folder.lock()
    try:
        _run_in(folder, port, output)
    finally:
        folder.unlock()


def _run_in(folder: DataFolder, port: int, output: Output) -> None:
    processes = StartedProcesses(folder.path / "processes.json")
    processes.stop_leftovers(output.say)
    if not is_free(port):
        raise StackError(f"Port {port} is in use by another program; stop that one or choose another PORT.")
    check_given(os.environ)
    plan = make_plan(folder, os.environ)
    nats_program: Path | None = None
    if plan.nats:
        nats_program = find_nats_server(folder.path / "bin", output.say)
    if plan.postgres:
        # Here rather than under supervision: what keeps a server from ever starting is said at once.
        plan.postgres.prepare(output.say)
    folder.write_environment(plan.variables)
    asyncio.run(Launcher(plan, nats_program, output, processes).run())


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise Interrupted


if __name__ == "__main__":
    sys.exit(main())
