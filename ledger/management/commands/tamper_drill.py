"""`manage.py tamper_drill`: attacks scratch copies of the event store and shows what notices each attack, and where.

The ledger may run meanwhile. Exit 0: every attack was seen and located, and the untouched copy raised nothing. 1:
something went unseen, or was looked for in the wrong place. 3: there is no signed history to attack, or no key. Whoever
stops it (Ctrl-C, SIGTERM) gets 128 and the signal's number, after the copies are gone.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from chronicle.processes import CHECK_FAILED, MISSING, LeanCommand, Stopped, stoppable
from ledger.checks import check_locks
from ledger.drill.attacks import Attack, attacks
from ledger.drill.forgery import Forgery, NothingToAttack
from ledger.drill.original import Original, read_original
from ledger.drill.place import Place, place_of
from ledger.drill.scratch import Scratch
from ledger.store import log_key, succession, tree_heads
from ledger.store.connection import ALIAS, dedicated_connection
from ledger.store.tree import journal_size
from ledger.verify.faults import Kind
from ledger.verify.run import Request, verify

POSITIONS_MIN = 10  # a shorter history has no middle and no tail
MISSES = (log_key.LogKeyUnusable, succession.SuccessionBroken, tree_heads.NoTreeHead, NothingToAttack)
NOTHING = Attack("no attack: nothing may be found", lambda forgery, original: Place())


@dataclass(frozen=True, slots=True)
class Seen:
    """How an attack came to light: by what, where, what was said of it, and how long the look took."""

    by: str
    where: Place
    said: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """Where an attack was made, and how it was seen, if it was."""

    made_at: Place
    seen: Seen | None

    @property
    def is_located(self) -> bool:
        return self.seen is not None and self.seen.where.meets(self.made_at)


class Command(LeanCommand):
    help = "Attacks scratch copies of the event store and prints what detected each attack."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            _require_history(read_original())
            with stoppable():
                scores = _drill()
        except MISSES as error:
            raise CommandError(str(error), returncode=MISSING) from error
        except Stopped as stopped:
            raise CommandError("stopped; the copies are gone", returncode=stopped.returncode) from None
        false_alarm = scores.pop(NOTHING.name).seen
        self._print(scores, false_alarm)
        if false_alarm or not all(score.is_located for score in scores.values()):
            sys.exit(CHECK_FAILED)

    def _print(self, scores: dict[str, Score], false_alarm: Seen | None) -> None:
        table = Table("attack", "made at", "detected", "by", "where", "seconds")
        for name, score in scores.items():
            cells = ("NO", "", "", "")
            if seen := score.seen:
                verdict = "yes" if score.is_located else "ELSEWHERE"
                cells = (verdict, seen.by, f"{seen.where}: {seen.said}", f"{seen.seconds:.1f}")
            table.add_row(name, str(score.made_at), *cells)
        Console(file=self.stdout._out, width=160).print(table)  # type: ignore[arg-type]
        if false_alarm:
            text = f"false alarm on an untouched copy: {false_alarm.by}: {false_alarm.where}: {false_alarm.said}"
            self.stdout.write(self.style.ERROR(text))
        found = sum(score.seen is not None for score in scores.values())
        located = sum(score.is_located for score in scores.values())
        self.stdout.write(f"{found} of {len(scores)} attacks detected, {located} where they were made")


def _require_history(original: Original) -> None:
    if original.size < POSITIONS_MIN:
        raise CommandError(f"a drill needs a history of {POSITIONS_MIN} events", returncode=MISSING)


def _drill() -> dict[str, Score]:
    """Return each attack's score by its name."""
    scratch, console = Scratch(), Console(stderr=True)
    try:
        scratch.drop_leftovers()
        scratch.copy()
        chosen = track([NOTHING, *attacks()], "attacking copies", console=console, disable=not console.is_terminal)
        return {attack.name: _score(attack, scratch) for attack in chosen}
    finally:
        scratch.drop()


def _score(attack: Attack, scratch: Scratch) -> Score:
    with scratch.fresh() as owner_url:
        original = read_original()
        made_at = attack.carry_out(Forgery(owner_url), original)
        return Score(made_at, _look(original))


def _look(original: Original) -> Seen | None:
    started_at = time.monotonic()
    if problems := [message for message in check_locks(None, databases=[ALIAS]) if message.is_serious()]:
        said = problems[0].msg
        return Seen("system check", Place(lock=said), "the lock does not hold", time.monotonic() - started_at)
    faults = verify(Request(original.trust, against=original.against, semantic=True, processes=1)).faults
    if not faults:
        return None
    # What the log itself tells comes before what only a head from outside does.
    fault = min(faults, key=lambda found: found.kind == Kind.REWRITTEN)
    by = "verify_ledger --against" if fault.kind == Kind.REWRITTEN else "verify_ledger"
    with dedicated_connection() as conn:
        where = place_of(fault, faults, original.kept, journal_size(conn))
    return Seen(by, where, f"{fault.kind}: {fault.detail}", time.monotonic() - started_at)
