"""`manage.py export_evidence`: a zip that proves an account, some events or a period to whoever receives it.

Exit 0: written. 1: there is nothing to prove, or what is stored does not prove it. 2: wrong usage. 3: no key to sign
with, or no signed head.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from chronicle.processes import CHECK_FAILED, MISSING, USAGE, LeanCommand
from ledger.domain.instants import parse_instant
from ledger.evidence.bundle import NothingToProve, NotProven, write_bundle
from ledger.evidence.selection import Selection, TooMuchEvidence
from ledger.store import log_key, succession, tree_heads
from ledger.store.connection import dedicated_connection
from ledger.store.tree import TreeIncomplete


class Command(LeanCommand):
    help = "Writes events with their proofs, a signed head, the key and an offline verifier into one zip."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--account", metavar="ID")
        which.add_argument("--events", metavar="EVENT_ID", nargs="+")
        which.add_argument("--period", metavar=("FROM", "TO"), nargs=2, help="RFC 3339; TO is not included")
        parser.add_argument("--tree-size", type=int, help="prove under this earlier head")
        parser.add_argument("--output", type=Path, default=Path("evidence.zip"))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            selection = _selection(options)
        except ValueError as error:
            raise CommandError(str(error), returncode=USAGE) from error
        try:
            with dedicated_connection() as conn:
                head = tree_heads.at_size(conn, options["tree_size"])
                count = write_bundle(conn, options["output"], selection, head)
        except (log_key.LogKeyUnusable, succession.SuccessionBroken, tree_heads.NoTreeHead) as error:
            raise CommandError(str(error), returncode=MISSING) from error
        except TooMuchEvidence as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except (NothingToProve, NotProven, TreeIncomplete) as error:
            raise CommandError(str(error), returncode=CHECK_FAILED) from error
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error}", returncode=USAGE) from error
        self.stdout.write(f"{options['output']}: {count} events under the head of size {head.tree_size}")


def _selection(options: dict[str, Any]) -> Selection:
    if options["period"]:
        start, end = map(parse_instant, options["period"])
        return Selection(period=(start, end))
    return Selection(options["account"], tuple(UUID(text) for text in options["events"] or ()))
