"""`manage.py tamper_drill`: attacks scratch copies of the event store and shows what notices each attack.

Exit 0: every attack was seen, and the untouched copy raised nothing. 1: something went unseen. 3: there is
no signed history to attack, or no key.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from chronicle.processes import CHECK_FAILED, MISSING
from ledger.checks import check_locks
from ledger.drill.attacks import Attack, attacks
from ledger.drill.forgery import Forgery
from ledger.drill.scratch import Scratch
from ledger.store import log_key, succession, tree_heads
from ledger.store.connection import ALIAS, dedicated_connection
from ledger.store.signed_note import Signer
from ledger.store.succession import Trust
from ledger.verify.faults import Kind
from ledger.verify.run import Request, verify

POSITIONS_MIN = 10  # a shorter history has no middle and no tail


@dataclass(frozen=True, slots=True)
class Seen:
    """How an attack came to light: by what, where, and how long the look took."""

    by: str
    where: str
    seconds: float


class Command(BaseCommand):
    help = "Attacks scratch copies of the event store and prints what detected each attack."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with dedicated_connection() as conn:
                signer = succession.current_signer(conn)
                kept = tree_heads.at_size(conn, None)
        except (log_key.LogKeyUnusable, succession.SuccessionBroken, tree_heads.NoTreeHead) as error:
            raise CommandError(str(error), returncode=MISSING) from error
        if kept.tree_size < POSITIONS_MIN:
            raise CommandError(f"a drill needs a history of {POSITIONS_MIN} events", returncode=MISSING)
        scratch = Scratch()
        try:
            scratch.copy()
            scores = {}
            nothing = Attack("no attack: nothing may be found", lambda forgery, signer: None)
            console = Console(stderr=True)
            for attack in track(
                [nothing, *attacks()], "attacking copies", console=console, disable=not console.is_terminal
            ):
                scores[attack.name] = _score(attack, scratch, signer, kept.note)
        finally:
            scratch.drop()
        false_alarm = scores.pop(nothing.name)
        self._print(scores, false_alarm)
        if false_alarm or not all(scores.values()):
            sys.exit(CHECK_FAILED)

    def _print(self, scores: dict[str, Seen | None], false_alarm: Seen | None) -> None:
        table = Table("attack", "detected", "by", "where", "seconds")
        for name, seen in scores.items():
            cells = ("yes", seen.by, seen.where, f"{seen.seconds:.1f}") if seen else ("NO", "", "", "")
            table.add_row(name, *cells)
        Console(file=self.stdout._out, width=160).print(table)  # type: ignore[arg-type]
        if false_alarm:
            self.stdout.write(
                self.style.ERROR(f"false alarm on an untouched copy: {false_alarm.by}: {false_alarm.where}")
            )
        found = sum(1 for seen in scores.values() if seen)
        self.stdout.write(f"{found} of {len(scores)} attacks detected")


def _score(attack: Attack, scratch: Scratch, signer: Signer, kept: str) -> Seen | None:
    with scratch.fresh() as owner_url:
        attack.carry_out(Forgery(owner_url), signer)
        started_at = time.monotonic()
        if problems := [message for message in check_locks(None, databases=[ALIAS]) if message.is_serious()]:
            return Seen("system check", problems[0].msg, time.monotonic() - started_at)
        trust = Trust(settings.LOG_ORIGIN, (signer.verifier,))
        faults = verify(Request(trust, against=(("kept head", kept),), semantic=True, processes=1)).faults
        if not faults:
            return None
        # What the log itself tells comes before what only a head from outside does.
        fault = min(faults, key=lambda found: found.kind == Kind.REWRITTEN)
        by = "verify_ledger --against" if fault.kind == Kind.REWRITTEN else "verify_ledger"
        return Seen(by, str(fault), time.monotonic() - started_at)
