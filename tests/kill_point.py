"""Runs a management command that is killed at a named point, as by a power cut: no `except` and no `finally` runs.

    python -m tests.kill_point before:ledger.engine.erasure.execute erase_subject --account …
    python -m tests.kill_point 2:after:sql:VACUUM erase_subject …

A point is `[n:]before|after:` and the dotted name of a function, as its caller finds it, or `sql:` and a piece of a
statement; of several calls the n-th is meant. The process gets SIGKILL from itself, so the moment is exact.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

import django
import psycopg
from django.core.management import execute_from_command_line, get_commands


def arm(point: str) -> None:
    """Have this process killed at a point."""
    number, rest = (point.split(":", 1)) if point[0].isdigit() else ("1", point)
    when, what = rest.split(":", 1)
    fragment = what.removeprefix("sql:") if what.startswith("sql:") else None
    module, _, name = ("psycopg.Connection.execute" if fragment else what).rpartition(".")
    owner: Any = psycopg.Connection if fragment else import_module(module)
    original, left = getattr(owner, name), int(number)

    def armed(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        if fragment and fragment not in str(arguments[1]):
            return original(*arguments, **options)
        left -= 1
        if not left and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = original(*arguments, **options)
        if not left and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, armed)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chronicle.settings")
    django.setup()
    # Loaded first, so that a name it imports is changed where it uses it.
    import_module(f"{get_commands()[sys.argv[2]]}.management.commands.{sys.argv[2]}")
    arm(sys.argv[1])
    execute_from_command_line(["manage.py", *sys.argv[2:]])
