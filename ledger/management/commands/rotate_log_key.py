"""`manage.py rotate_log_key`: another key is to sign the log's heads, and the log itself says so.

Makes a key beside the one that signs, has both sign the change, and records it as an event. From that event's
position on the relay signs with the new key, and puts its file in the place of the old one. Every step can
be the last before a crash: run it again, and it goes on where it stopped.

Exit 0: recorded. 1: refused, because the keys changed meanwhile. 3: the key that signs now is not here.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from chronicle.processes import CHECK_FAILED, MISSING, LeanCommand
from ledger.bus.nudge import nudge
from ledger.domain.commands import RotateLogKey
from ledger.domain.events import LOG_KEYS
from ledger.domain.log_keys import LogKeys
from ledger.engine.execute import execute
from ledger.engine.submission import Rejected, Submission
from ledger.store import event_store, log_key, succession
from ledger.store.signed_note import Verifier

ACTOR = "rotate_log_key"


class Command(LeanCommand):
    help = "Records in the log that a new key signs its heads from now on."

    def handle(self, *args: Any, **options: Any) -> None:
        # What it records and signs could be changed again if the locks on history were off: see ledger.checks.
        self.require_locks()
        try:
            old = _signing_key()
            new = log_key.load_or_create_next()
            if new.verifier == old:
                self.stdout.write(f"recorded before; the relay takes over to {new.verifier.vkey} with its next head")
                return
            note = succession.sign_change(log_key.find_signer(old), new)
        except log_key.LogKeyUnusable as error:
            raise CommandError(str(error), returncode=MISSING) from error
        command = RotateLogKey(old.vkey, new.verifier.vkey, note)
        (outcome,) = execute([Submission(command, actor=ACTOR)], on_commit=nudge)
        if isinstance(outcome, Rejected):
            raise CommandError(str(outcome.error), returncode=CHECK_FAILED)
        _report(self, outcome.events[0].event_id, old, new.verifier)


def _signing_key() -> Verifier:
    """Return the key that the log named last, which may not have a position yet; or this machine's, the first one."""
    head = event_store.read([LOG_KEYS]).heads[LOG_KEYS]
    if isinstance(head.state, LogKeys):
        return Verifier.parse(head.state.keys[-1])
    return log_key.load_signer().verifier


def _report(command: LeanCommand, event_id: UUID, old: Verifier, new: Verifier) -> None:
    command.stdout.write(f"event {event_id}: {old.vkey} gives way to\n{new.vkey}")
    command.stdout.write("Tell those who keep the log's key; copy the new file to every machine that runs a relay:")
    command.stdout.write(f"{log_key.next_path()}")
