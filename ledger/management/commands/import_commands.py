"""`manage.py import_commands FILE`: carries out the commands of a CSV or JSON Lines file, a batch at a time.

Exit 0: every line was accepted, now or before. 1: lines were rejected or malformed, or it was stopped before the
end. 2: wrong usage, or a header that is none. 3: the event store does not answer; run it again, and it goes on.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from chronicle.processes import CHECK_FAILED, MISSING, USAGE, LeanCommand
from ledger.api.fields import plain_text
from ledger.domain.errors import Malformed
from ledger.engine.execute import COMMANDS_MAX
from ledger.errors import Busy, StoreUnavailable
from ledger.importing.lines import READERS, UnusableHeader
from ledger.importing.run import Answered, Options, Tally, import_lines

BATCH_DEFAULT = 1_000  # some 100 ms of work, and what an interruption costs to do again
ACTOR_MAX = 150  # as a user's name
FORMAT_BY_SUFFIX = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
# Faults that are printed; --outcomes has all of them.
FAULTS_SHOWN_MAX = 20
_RUN = re.compile(r"[A-Za-z0-9._-]{0,64}", re.ASCII)


class Command(LeanCommand):
    help = "Carries out the commands of a CSV or JSON Lines file; run again, it goes on where it ended."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="- for standard input")
        parser.add_argument("--actor", required=True, help="the user in whose name the commands are carried out")
        parser.add_argument("--format", choices=sorted(READERS), help="by the file's suffix when absent")
        parser.add_argument("--batch", type=int, default=BATCH_DEFAULT, metavar="N",
                            help=f"commands in one batch, up to {COMMANDS_MAX} ({BATCH_DEFAULT})")  # fmt: skip
        parser.add_argument("--atomic", action="store_true", help="each batch happens whole or not at all")
        parser.add_argument("--run", default="", metavar="NAME",
                            help="part of the keys of lines without one; a new name, new commands")  # fmt: skip
        parser.add_argument(
            "--outcomes", type=Path, metavar="FILE", help="write an answer for each line, as JSON Lines"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing; each batch is tried on what those before would leave"
        )
        parser.add_argument("--stop-on-error", action="store_true",
                            help="stop at a malformed line, and after a batch with a rejected one")  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = _options(options)
        reader = READERS[_format(options)]
        # What it decides on could have been changed if the locks on history were off: see ledger.checks.
        self.require_locks()
        stop = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        tally, last = Tally(), 0
        with ExitStack() as resources:
            stream, size = resources.enter_context(_opened(options["file"], options["outcomes"]))
            report = resources.enter_context(_Report(self, options["outcomes"], size))
            try:
                for answers in import_lines(reader(stream), chosen, stop.is_set):
                    for answered in answers:
                        tally.add(answered)
                    report.add(answers, tally)
                    last = answers[-1].line.number
            except UnusableHeader as error:
                raise CommandError(str(error), returncode=USAGE) from error
            except (Busy, StoreUnavailable) as error:
                detail = f"{error}; carried out up to line {last}: run it again, and it goes on"
                raise CommandError(detail, returncode=MISSING) from error
        self.stdout.write(f"{tally}{'; nothing was written' if chosen.is_dry_run else ''}")
        if stop.is_set():
            self.stderr.write(f"stopped after line {last}; run it again, and it goes on")
        if stop.is_set() or not tally.is_clean:
            sys.exit(CHECK_FAILED)


class _Report:
    """Where the answers go: a bar for the eye, the first faults as text, all of them to a file."""

    def __init__(self, command: Command, outcomes: Path | None, size: int | None) -> None:
        self._stderr = command.stderr
        console = Console(stderr=True)
        columns = (TextColumn("importing"), BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=size)
        self._path = outcomes
        self._faults = 0
        self._resources = ExitStack()

    def __enter__(self) -> _Report:
        self._file = self._resources.enter_context(_writable(self._path)) if self._path else None
        self._resources.enter_context(self._bar)
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()
        if (hidden := self._faults - FAULTS_SHOWN_MAX) > 0:
            self._stderr.write(f"… and {hidden} more{'' if self._path else '; --outcomes FILE has all of them'}")

    def add(self, answers: list[Answered], tally: Tally) -> None:
        if self._file:
            self._file.writelines(
                orjson.dumps(answered.body(), option=orjson.OPT_APPEND_NEWLINE) for answered in answers
            )
            self._file.flush()
        for answered in answers:
            if answered.error:
                self._faults += 1
                if self._faults <= FAULTS_SHOWN_MAX:
                    self._stderr.write(f"line {answered.line.number}: {answered.error.code}: {answered.error}")
        self._bar.update(self._task, completed=answers[-1].line.end, description=f"{tally.lines:,} lines")


@contextmanager
def _writable(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("wb")
    except OSError as error:
        raise CommandError(str(error), returncode=USAGE) from error
    with stream:
        yield stream


@contextmanager
def _opened(name: str, outcomes: Path | None) -> Iterator[tuple[BinaryIO, int | None]]:
    """Yield the file and its size, which standard input does not tell."""
    if name == "-":
        yield sys.stdin.buffer, None
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115 (what fails below is not the opening)
    except OSError as error:
        raise CommandError(str(error), returncode=USAGE) from error
    with stream:
        found = os.fstat(stream.fileno())
        if outcomes is not None and outcomes.exists() and os.path.samestat(found, outcomes.stat()):
            raise CommandError("--outcomes would overwrite the file that is imported", returncode=USAGE)
        yield stream, found.st_size


def _options(options: dict[str, Any]) -> Options:
    if not 1 <= options["batch"] <= COMMANDS_MAX:
        raise CommandError(f"--batch is 1 to {COMMANDS_MAX}", returncode=USAGE)
    if not _RUN.fullmatch(options["run"]):
        raise CommandError("--run is up to 64 of A-Z a-z 0-9 . _ -", returncode=USAGE)
    try:
        actor = plain_text(options["actor"], ACTOR_MAX, "--actor")
    except Malformed as error:
        raise CommandError(str(error), returncode=USAGE) from error
    try:
        # What no user can be called has keys of its own: "ledger:sagas" those of the steps, "ann/x" some of ann's.
        UnicodeUsernameValidator()(actor)
    except ValidationError as error:
        raise CommandError("--actor is a user's name: letters, digits and @ . + - _", returncode=USAGE) from error
    return Options(actor, options["batch"], options["run"], options["atomic"], options["dry_run"],
                   options["stop_on_error"])  # fmt: skip


def _format(options: dict[str, Any]) -> str:
    chosen: str | None = options["format"] or FORMAT_BY_SUFFIX.get(Path(options["file"]).suffix.lower())
    if chosen is None:
        known = ", ".join(FORMAT_BY_SUFFIX)
        raise CommandError(f"--format says what {options['file']} is; known by suffix: {known}", returncode=USAGE)
    return chosen
