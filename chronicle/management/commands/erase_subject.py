"""`manage.py erase_subject`: forgets everything that was written about a person, and certifies it.

Exit 0: erased and certified, and the read models have forgotten. 1: a certificate given by --check does not hold.
2: wrong usage, or not confirmed. 3: no key to sign with, or relay or projector did not get there in time; what is
destroyed stays destroyed, and running it again finishes it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from auditor import forgetting as portal
from chronicle.processes import CHECK_FAILED, MISSING, USAGE, LeanCommand
from chronicle.roles import Role, has_role
from ledger.bus.nudge import nudge
from ledger.domain.errors import AccountNotFound
from ledger.domain.events import SubjectErased
from ledger.engine.erasure import account_of, erase, owner_name
from ledger.engine.subjects import accounts_of, subject_of
from ledger.errors import LedgerError
from ledger.evidence import certificate
from ledger.evidence.verify_evidence import UNREADABLE, Broken, check_certificate
from ledger.store import history, log_key, succession, tree_heads
from ledger.store.connection import dedicated_connection
from ledger.store.signed_note import InvalidNote, Verifier, open_note
from ledger.store.tree_heads import StoredHead
from ledger.subjects.keys import FRESH_S, keys_of
from projections import forgetting
from projections.rebuild import RebuildError

POLL_S = 0.1


class Command(LeanCommand):
    help = "Destroys the keys of everything written about a person, and writes a signed certificate of it."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--account", metavar="ID", help="the owner of this account, as far as this account goes")
        what.add_argument("--subject", metavar="ID", help="a person with all accounts that were created as theirs")
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
        # What it records could be changed again if the locks on history were off: see ledger.checks.
        self.require_locks()
        deadline = time.monotonic() + options["wait"]
        subject_id, account_ids = self._whom(options)
        self._confirm(subject_id, account_ids, options)
        try:
            log_key.load_signer()  # or there could be no certificate in the end
            # First what goes by the words, which nobody can read any more when the key is gone.
            names = {owner_name(account_id) for account_id in account_ids}
            cleared = portal.forget(account_ids, names | portal.texts_about(account_ids))
            erasures = {id_: erase(id_, options["reason"], options["actor"], nudge) for id_ in account_ids}
            time.sleep(FRESH_S)  # after it no process opens what it had the key of
            with dedicated_connection() as conn:
                head, position = self._covering_head(conn, erasures, deadline)
                # The one that signed the head too, so that a certificate holds or fails by one key.
                signer = succession.signer_at(succession.changes(conn), head.tree_size)
                keys = {account_id: keys_of(account_id) for account_id in account_ids}
                note = certificate.write_certificate(conn, subject_id, keys, head, signer)
        except LedgerError as error:
            raise CommandError(str(error), returncode=MISSING) from error
        output = options["output"] or Path(f"erasure-{subject_id}.certificate")
        _write_whole(output, note)
        self._report(output, check_certificate(note, signer.verifier.vkey), head, cleared)
        self._let_read_models_forget(position, deadline)

    def _whom(self, options: dict[str, Any]) -> tuple[str, list[str]]:
        for name in ("reason", "actor"):
            if not options[name]:
                raise CommandError(f"--{name} is needed: an erasure is on record", returncode=USAGE)
        actor = User.objects.filter(username=options["actor"]).first()
        if actor is None or not has_role(actor, Role.ADMINISTRATOR):
            raise CommandError(f"{options['actor']} is no administrator", returncode=USAGE)
        try:
            if options["subject"]:
                account_ids = accounts_of(options["subject"])
                if not account_ids:
                    raise CommandError(f"no account is {options['subject']}'s", returncode=USAGE)
                return options["subject"], account_ids
            account_of(options["account"])
            subject_id = subject_of(options["account"])
            others = len(accounts_of(subject_id)) - 1
        except AccountNotFound as error:
            raise CommandError(str(error), returncode=USAGE) from error
        except LedgerError as error:
            raise CommandError(str(error), returncode=MISSING) from error
        if others:
            self.stdout.write(f"{subject_id}, whose account this is, has {others} more: --subject {subject_id} is all.")
        return options["account"], [options["account"]]

    def _confirm(self, subject_id: str, account_ids: Sequence[str], options: dict[str, Any]) -> None:
        if options["yes"]:
            return
        self.stdout.write(
            f"This cannot be undone: owner name and every text of {', '.join(account_ids)} will be gone for good, and "
            "with them the words of transfers from the statements of those on their other side."
        )
        try:
            answer = input("Type the id to go on: ")
        except EOFError:
            answer = ""
        if answer.strip() != subject_id:
            raise CommandError("not confirmed, nothing was erased", returncode=USAGE)

    def _covering_head(self, conn: Any, erasures: dict[str, int], deadline: float) -> tuple[StoredHead, int]:
        """Wait for a signed head over every account's last erasure; return it with the last one's position."""
        while True:
            last = [_position_of(account_id, number) for account_id, number in erasures.items()]
            head = tree_heads.last(conn)
            if None not in last and head is not None and head.tree_size >= (position := max(filter(None, last))):
                return head, position
            if time.monotonic() > deadline:
                raise CommandError(
                    "The key is destroyed, but no signed head covers the erasure yet: is the relay running? "
                    "Run this again for the certificate.",
                    returncode=MISSING,
                )
            time.sleep(POLL_S)

    def _report(self, output: Path, stated: dict[str, Any], head: StoredHead, cleared: int) -> None:
        self.stdout.write(
            f"{output}: {len(stated['erased'])} events no longer say anything, and each is proven under the head of "
            f"size {head.tree_size}"
        )
        if stated["shared_with"]:
            self.stdout.write(f"words shared with others are gone from theirs too: {', '.join(stated['shared_with'])}")
        if cleared:
            self.stdout.write(f"cleared in the portal: {cleared} notes and searches that were kept in plain")
        if stated["not_erased"]:
            self.stdout.write(
                self.style.WARNING(
                    f"NOT erased: {len(stated['not_erased'])} events hold texts in plain, recorded before texts were "
                    "sealed; nothing can take them back, and the certificate names them"
                )
            )

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
        forgetting.sweep()
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
            if vkey:
                Verifier.parse(vkey)
        except (OSError, UnicodeDecodeError, InvalidNote) as error:
            raise CommandError(str(error), returncode=USAGE) from error
        try:
            stated = check_certificate(note, vkey or _own_key(note))
        except LedgerError as error:
            raise CommandError(f"{error}; give the log's verifier key with --key", returncode=MISSING) from error
        except (Broken, InvalidNote, *UNREADABLE) as error:
            raise CommandError(f"{path} does not hold: {error}", returncode=CHECK_FAILED) from error
        self.stdout.write(f"{path}: {stated['subject_id']}, {len(stated['erased'])} events erased and proven")


def _position_of(account_id: str, erasures: int) -> int | None:
    """Return where an account's last erasure stands in the journal, once it does."""
    found = history.sequenced_events(0, erasures, account_id, SubjectErased.__name__)
    return found[-1].position if len(found) == erasures else None


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all, whatever stops this process."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text)
    os.replace(unfinished, path)


def _own_key(note: str) -> str:
    """Return the key of this log that signed a note. Raises: LogKeyUnusable, SuccessionBroken, InvalidNote."""
    with dedicated_connection() as conn:
        changes = succession.changes(conn)
    known = [log_key.load_signer().verifier, *(key for change in changes for key in (change.old, change.new))]
    return open_note(note, known)[1][0].vkey
