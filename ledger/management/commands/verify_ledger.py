"""`manage.py verify_ledger`: is the stored log what it was, whole, in order, and signed?

Exit 0: nothing found. 1: faults, each with its position. 2: wrong usage. 3: no key to check signatures with.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chronicle.processes import CHECK_FAILED, MISSING, USAGE, LeanCommand, spare_the_collector
from ledger.store import log_key, tree_heads
from ledger.store.signed_note import InvalidNote, Verifier
from ledger.store.succession import Trust
from ledger.verify.run import Extent, Request, extent_of, unhurried_connection, verify
from ledger.verify.segment import Findings


class Command(LeanCommand):
    help = "Checks every hash, chain, position, state, tile, head and signature of the stored log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="from_position", type=int, default=1, metavar="POSITION",
                            help="check from the tile of this position on")  # fmt: skip
        parser.add_argument("--account", metavar="ID", help="check one account's events and their proofs only")
        parser.add_argument("--against", metavar="FILE", action="append", default=[], type=Path,
                            help="a checkpoint kept from /log/checkpoint; may be given more than once")  # fmt: skip
        parser.add_argument("--key", metavar="VKEY", action="append", default=[],
                            help="trust this verifier key (or the one in this file), not this machine's")  # fmt: skip
        parser.add_argument("--semantic", action="store_true", help="also decide every command again")
        parser.add_argument("--processes", type=int, metavar="N", help="default: one for each core")

    def handle(self, *args: Any, **options: Any) -> None:
        request = _request(options)
        spare_the_collector()
        started_at = time.monotonic()
        with unhurried_connection(reads_anything=True) as conn:
            extent = extent_of(conn)
        _check_from(request, extent)
        console = Console(stderr=True)
        columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("events", total=max(0, extent.size - request.from_position + 1))
            findings = verify(request, lambda count: progress.advance(task, count))
        if request.account_id is not None and not findings.events and not findings.fault_count:
            raise CommandError(
                f"the journal has no event of {request.account_id}: nothing was checked", returncode=USAGE
            )
        self._report(findings, request, extent.covered, time.monotonic() - started_at)

    def _report(self, findings: Findings, request: Request, covered: int, seconds: float) -> None:
        for fault in findings.faults:
            self.stdout.write(self.style.ERROR(str(fault)))
        if hidden := findings.fault_count - len(findings.faults):
            self.stdout.write(self.style.ERROR(f"… and {hidden} more"))
        rate = findings.events / seconds if seconds else 0
        heads = ", ".join(source for source, _ in request.against) or "none from outside"
        self.stdout.write(
            f"{findings.events} events in {seconds:.1f} s ({rate:.0f}/s); signed up to position {covered}; "
            f"checked against: {heads}"
        )
        if findings.fault_count:
            self.stdout.write(self.style.ERROR(f"{findings.fault_count} faults"))
            sys.exit(CHECK_FAILED)
        self.stdout.write(self.style.SUCCESS("no fault found"))


def _check_from(request: Request, extent: Extent) -> None:
    """Raises: CommandError when there is nothing at the position and after it: nothing checked is not no fault."""
    end = max(extent.size, extent.covered)
    if request.from_position > max(1, end):
        raise CommandError(f"--from {request.from_position} is beyond the last position, {end}", returncode=USAGE)


def _request(options: dict[str, Any]) -> Request:
    if options["from_position"] < 1:
        raise CommandError("--from is a position, and the first is 1", returncode=USAGE)
    if options["account"] is not None and options["from_position"] != 1:
        raise CommandError("--account checks all of an account: it takes no --from", returncode=USAGE)
    if options["processes"] is not None and options["processes"] < 1:
        raise CommandError("--processes is at least 1", returncode=USAGE)
    try:
        against = [(str(path), path.read_text()) for path in options["against"]]
        keys = [Verifier.parse(_text_of(key)) for key in options["key"]]
    except (OSError, UnicodeDecodeError, InvalidNote) as error:
        raise CommandError(str(error), returncode=USAGE) from error
    if not keys:
        try:
            keys = [log_key.load_signer().verifier]
        except log_key.LogKeyUnusable as error:
            raise CommandError(f"{error}; give the log's verifier key with --key", returncode=MISSING) from error
        # What this machine signed last is a head from outside the database too.
        if (remembered := tree_heads.remembered()) is not None:
            against.append((str(tree_heads.memory_path()), remembered))
    processes = {"processes": options["processes"]} if options["processes"] else {}
    return Request(Trust(settings.LOG_ORIGIN, tuple(keys)), options["from_position"], options["account"],
                   tuple(against), options["semantic"], **processes)  # fmt: skip


def _text_of(key: str) -> str:
    path = Path(key)
    return path.read_text() if path.is_file() else key
