"""`manage.py erase_subject`: forgets everything that was written about an account's owner, and certifies it.

Exit 0: erased and certified, and the read models have forgotten. 1: a certificate given by --check does not hold.
2: wrong usage, or not confirmed. 3: no key to sign with, or relay or projector did not get there in time; what is
destroyed stays destroyed, and running it again finishes it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chronicle.processes import CHECK_FAILED, MISSING, USAGE
from chronicle.roles import Role, has_role
from ledger.bus.nudge import nudge
from ledger.domain.errors import AccountNotFound
from ledger.domain.events import SubjectErased
from ledger.engine.erasure import account_of, erase
from ledger.errors import LedgerError
from ledger.evidence import certificate
from ledger.store import history, log_key, succession, tree_heads
from ledger.store.connection import dedicated_connection
from ledger.store.merkle import InvalidProof
from ledger.store.signed_note import InvalidNote, Verifier
from ledger.store.tree_heads import StoredHead
from ledger.subjects.keys import FRESH_S, keys_of
from projections import forgetting
from projections.rebuild import RebuildError

POLL_S = 0.1


class Command(BaseCommand):
    help = "Destroys the key of everything written about an account's owner, and writes a signed certificate of it."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--account", metavar="ID")
        what.add_argument("--check", metavar="FILE", type=Path, help="check a certificate instead, and erase nothing")
        parser.add_argument("--reason", help="on whose request; on record in plain, for ever: nothing personal")
        parser.add_argument("--actor", metavar="USERNAME", help="the administrator who does this")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--output", type=Path, help="default: erasure-ID.certificate")
        parser.add_argument("--wait", type=float, default=30.0, metavar="SECONDS",
                            help="for a signed head and for the read models")  # fmt: skip
        parser.add_argument("--key", metavar="VKEY", help="of --check: the log's verifier key, or a file that holds it")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check(options["check"], options["key"])
            return
        account_id, deadline = options["account"], time.monotonic() + options["wait"]
        self._confirm(options)
        try:
            log_key.load_signer()  # or there could be no certificate in the end
            erasures = erase(account_id, options["reason"], options["actor"], nudge)
            time.sleep(FRESH_S)  # after it no process opens what it had the key of
            with dedicated_connection() as conn:
                head, position = self._covering_head(conn, account_id, erasures, deadline)
                # The one that signed the head too, so that a certificate holds or fails by one key.
                signer = succession.signer_at(succession.changes(conn), head.tree_size)
                note = certificate.write_certificate(conn, account_id, keys_of(account_id), head, signer)
        except LedgerError as error:
            raise CommandError(str(error), returncode=MISSING) from error
        output = options["output"] or Path(f"erasure-{account_id}.certificate")
        output.write_text(note)
        stated = certificate.check(note, [signer.verifier], settings.LOG_ORIGIN)
        self.stdout.write(
            f"{output}: {len(stated['erased'])} events no longer say anything, and each is proven under the head of "
            f"size {head.tree_size}"
        )
        if stated["not_erased"]:
            self.stdout.write(f"not erased: {len(stated['not_erased'])} events with texts from before they were sealed")
        self._let_read_models_forget(position, deadline)

    def _confirm(self, options: dict[str, Any]) -> None:
        for name in ("reason", "actor"):
            if not options[name]:
                raise CommandError(f"--{name} is needed: an erasure is on record", returncode=USAGE)
        actor = User.objects.filter(username=options["actor"]).first()
        if actor is None or not has_role(actor, Role.ADMINISTRATOR):
            raise CommandError(f"{options['actor']} is no administrator", returncode=USAGE)
        account_id = options["account"]
        try:
            account_of(account_id)
        except AccountNotFound as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except LedgerError as error:
            raise CommandError(str(error), returncode=MISSING) from error
        if options["yes"]:
            return
        self.stdout.write(f"This cannot be undone: owner name and every text of {account_id} will be gone for good.")
        try:
            answer = input("Type the account's id to go on: ")
        except EOFError:
            answer = ""
        if answer.strip() != account_id:
            raise CommandError("not confirmed, nothing was erased", returncode=USAGE)

    def _covering_head(self, conn: Any, account_id: str, erasures: int, deadline: float) -> tuple[StoredHead, int]:
        """Wait for a signed head over the last erasure and return it with the erasure's position."""
        while True:
            found = history.sequenced_events(0, erasures, account_id, SubjectErased.__name__)
            head = tree_heads.last(conn)
            if len(found) == erasures and head is not None and head.tree_size >= found[-1].position:
                return head, found[-1].position
            if time.monotonic() > deadline:
                raise CommandError(
                    "The key is destroyed, but no signed head covers the erasure yet: is the relay running? "
                    "Run this again for the certificate.",
                    returncode=MISSING,
                )
            time.sleep(POLL_S)

    def _let_read_models_forget(self, position: int, deadline: float) -> None:
        """Wait until every read model has applied the erasure, and drop the sets that were kept from before it."""
        while waiting := forgetting.not_forgotten(position):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"These read models have not forgotten yet: {', '.join(waiting)}. They will when the projector "
                    "has reached the erasure and nothing of it is parked; run this again to see.",
                    returncode=MISSING,
                )
            time.sleep(POLL_S)
        try:
            for name in forgetting.drop_kept_sets():
                self.stdout.write(f"{name}: the set kept from before the last rebuild is dropped")
        except RebuildError as error:
            raise CommandError(f"{error}; run this again when it is done", returncode=MISSING) from error
        self.stdout.write(self.style.SUCCESS("the read models have forgotten"))

    def _check(self, path: Path, key: str | None) -> None:
        try:
            note = path.read_text()
            vkey = Path(key).read_text() if key and Path(key).is_file() else key
            verifiers = [Verifier.parse(vkey)] if vkey else _own_verifiers()
        except (OSError, InvalidNote) as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except LedgerError as error:
            raise CommandError(f"{error}; give the log's verifier key with --key", returncode=MISSING) from error
        try:
            stated = certificate.check(note, verifiers, verifiers[0].name)
        except (InvalidNote, InvalidProof, KeyError, ValueError, TypeError) as error:
            raise CommandError(f"{path} does not hold: {error}", returncode=CHECK_FAILED) from error
        self.stdout.write(f"{path}: {stated['account_id']}, {len(stated['erased'])} events erased and proven")


def _own_verifiers() -> list[Verifier]:
    """Return this machine's key and those that the log names. Raises: LogKeyUnusable, SuccessionBroken."""
    with dedicated_connection() as conn:
        changes = succession.changes(conn)
    return [log_key.load_signer().verifier, *(key for change in changes for key in (change.old, change.new))]
