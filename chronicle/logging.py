"""What a line of the log says of a failure: where it happened, never with which values.

structlog's own tracebacks print every variable, hundreds of lines of them: names and descriptions that somebody may
one day have erased, tokens, and objects that ask a database when they are printed and fail once more for it.
"""

from __future__ import annotations

import os
import sys

import structlog


def configure() -> None:
    """Keep structlog's lines as they are, with Python's plain tracebacks."""
    is_coloured = "NO_COLOR" not in os.environ and sys.stdout is not None and sys.stdout.isatty()
    renderer = structlog.dev.ConsoleRenderer(colors=is_coloured, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
