"""The programs of the stack: the two servers, the one-shot preparations and the services.

The services are the same commands that every deployment runs; only where they find their servers differs.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from chronicle.stack.data_folder import REPOSITORY
from chronicle.stack.nats import NatsServer
from chronicle.stack.plan import Plan
from chronicle.stack.ports import LOOPBACK
from chronicle.stack.postgres import EmbeddedPostgres
from chronicle.stack.supervisor import Program

# Enough for every page of the portal to show something, and loaded in seconds.
DEMO_COMMANDS = 300
# Then one command every two seconds, so that an auditor sees events arrive, for a day.
DEMO_RATE_PER_S = 0.5
DEMO_DURATION_S = 24 * 3600


def postgres_program(server: EmbeddedPostgres) -> Program:
    # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to leave.
    return Program(
        "postgres",
        server.command(),
        server.popen_options(),
        stop_signal=signal.SIGINT,
        stop_timeout_s=60.0,
        prepare=server.prepare,
    )


def nats_program(server: NatsServer, program: Path) -> Program:
    return Program("nats", server.command(program))


def migrate(plan: Plan) -> Program:
    return _manage(plan, "migrate", "migrate", "--no-input", "--verbosity", "0")


def create_users(plan: Plan) -> Program:
    file = str(plan.folder.credentials_file)
    return _manage(plan, "users", "create_demo_users", "--credentials", file, "--url", plan.url)


def services(plan: Plan) -> list[Program]:
    """Return what serves, in the order of starting; stopping goes the other way."""
    address = ("--bind", LOOPBACK, "--port", str(plan.port))
    web = [sys.executable, "-m", "daphne", *address, "--verbosity", "0", "chronicle.asgi:application"]
    return [
        _manage(plan, "relay", "relay_events"),
        _manage(plan, "projector", "run_projections"),
        _manage(plan, "sagas", "run_sagas"),
        _manage(plan, "holds", "expire_holds"),
        _manage(plan, "keys", "expire_keys", "--daily"),
        Program("web", web, _options(plan)),
    ]


def demo_load(plan: Plan) -> Program:
    return _manage(plan, "traffic", "simulate_traffic", "--commands", str(DEMO_COMMANDS), may_finish=True)


def demo_trickle(plan: Plan) -> Program:
    pace = ("--rate", str(DEMO_RATE_PER_S), "--duration", str(DEMO_DURATION_S))
    return _manage(plan, "traffic", "simulate_traffic", *pace, may_finish=True)


def _manage(plan: Plan, name: str, *arguments: str, **fields: Any) -> Program:
    command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
    return Program(name, command, _options(plan), **fields)


def _options(plan: Plan) -> dict[str, Any]:
    environment = {
        **os.environ,
        **plan.variables,
        "CHRONICLE_DATA": str(plan.folder.path),
        # What a service prints is seen at once, not when its buffer is full.
        "PYTHONUNBUFFERED": "1",
    }
    return {"cwd": REPOSITORY, "env": environment}
