"""erase_subject, killed by SIGKILL at each of its steps: the books are right at every point, and the next run ends it.

A process of its own erases a person with two accounts, while relay and projector run. Whatever it had done when it
was killed, every proof holds, the read models are what the events say, money moves, and no text is half gone: an
account is as it was, or its erasure is on record. Then the same command, run again, leaves nothing of the texts.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from auditor.findings.record import open_finding
from auditor.models import AccessLogEntry, Finding
from chronicle.roles import Role
from ledger.domain.account import ERASED
from ledger.domain.commands import CreateAccount, Deposit
from ledger.engine.erasure import account_of
from ledger.evidence.verify_evidence import check_certificate
from ledger.store import journal, log_key, tree_heads
from ledger.store.connection import connection
from ledger.subjects.keys import RING, keys_of
from ledger.verify.run import Request, verify
from ledger.verify.tree_checks import Trust
from projections.consistency import run as consistency
from tests.api_world import new_user
from tests.erasure_world import ABOUT_ANN, found_in, in_event_store, in_read_model, shown, texts
from tests.ledger_world import rows
from tests.portal_world import page, signed_in
from tests.proof_world import submit
from tests.read_world import assert_read_model_is_right, projector, relay, wait_until_applied
from tests.servers import KILLED_AT, REPOSITORY, Servers
from tests.waiting import wait_for

pytestmark = [pytest.mark.usefixtures("clean_stores"), pytest.mark.timeout(180)]
ABOUT_HER = (*ABOUT_ANN, "Annsecond", "Annodd")
ACCOUNTS = ("ann", "ann-too")

# In the order in which they come. Of two accounts the second's steps are the second calls.
POINTS = [
    "before:auditor.forgetting.forget",
    "before:ledger.engine.erasure.execute",
    "before:ledger.engine.writing.append",
    "after:ledger.engine.writing.append",
    "after:sql:UPDATE subject_keys",
    "before:sql:VACUUM (ANALYZE) subject_keys",
    "after:sql:VACUUM (ANALYZE) subject_keys",
    "2:after:ledger.engine.erasure.execute",
    "before:ledger.evidence.certificate.write_certificate",
    "before:os.replace",
    "before:projections.forgetting.not_forgotten",
    "after:projections.forgetting.drop_kept_sets",
]


def a_person_with_two_accounts() -> None:
    texts()
    submit(CreateAccount("ann-too", "Annsecond", "USD", subject_id="ann"))
    submit(Deposit("ann-too", Decimal(1), "Annwages"))
    auditor = new_user(Role.AUDITOR)
    open_finding(auditor, "account", "ann", "Annodd")
    browser = signed_in(Role.AUDITOR)
    browser.get(page(Finding, "changelist"), {"q": "Annabella"})
    AccessLogEntry.objects.create(user=auditor, kind="account", subject_id="ann", path="/admin/x/?q=Annabella",
                                  at=Finding.objects.get().opened_at)  # fmt: skip


def erase(arguments: list[str], *, kill_at: str | None = None) -> subprocess.CompletedProcess[str]:
    program = [*KILLED_AT, kill_at] if kill_at else [sys.executable, "manage.py"]
    command = [*program, "erase_subject", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("point", POINTS)
def test_an_erasure_killed_at_any_step_leaves_everything_right_and_is_finished_by_the_next(
    point: str, tmp_path: Path, stack: Servers
) -> None:
    a_person_with_two_accounts()
    file, admin = tmp_path / "ann.certificate", new_user(Role.ADMINISTRATOR).get_username()
    arguments = ["--subject", "ann", "--reason", "request 17", "--actor", admin, "--yes", "--output", str(file)]
    with relay(), projector():
        covered()
        kept = head_note()
        killed = erase(arguments, kill_at=point)
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
        everything_is_right(kept)
        done = erase(arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        everything_is_right(kept)
    assert rows("SELECT aggregate_id, count(*) FROM events WHERE event_type = 'SubjectErased' GROUP BY 1 ORDER BY 1") == [
        ("ann", 1), ("ann-too", 1),
    ]  # fmt: skip
    assert all(set(shown(id_)) <= {ERASED, "Initial balance"} for id_ in ACCOUNTS)
    assert (
        in_read_model(ABOUT_HER) == in_event_store(ABOUT_HER) == found_in(stack.postgres.url("portal"), ABOUT_HER) == {}
    )
    stated = check_certificate(file.read_text(), log_key.load_signer().verifier.vkey)
    assert (stated["subject_id"], stated["account_ids"]) == ("ann", list(ACCOUNTS))
    assert {key["account_id"] for key in stated["keys_destroyed"]} == set(ACCOUNTS)


def covered() -> None:
    """Wait until what was written is ordered, signed and in the read models."""
    submit(Deposit("ann", Decimal(1)))  # money moves, whatever becomes of the texts
    wait_for(lambda: rows("SELECT count(*) FROM outbox") == [(0,)], "the relay orders")
    wait_for(
        lambda: (head := last_head()) is not None and head.tree_size == journal.head().position, "a head of it all"
    )
    wait_until_applied()


def last_head() -> tree_heads.StoredHead | None:
    with connection() as conn:
        return tree_heads.last(conn)


def head_note() -> str:
    head = last_head()
    assert head is not None
    return head.note


def everything_is_right(kept: str) -> None:
    covered()
    RING.forget()  # a second after an erasure nobody has a key any more; here at once
    trust = Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,))
    faults = verify(Request(trust, processes=1, semantic=True, against=(("kept", kept),))).faults
    assert [str(fault) for fault in faults] == []
    assert [str(finding) for finding in consistency.check(lambda *_: None)] == []
    assert_read_model_is_right()
    assert in_event_store(ABOUT_HER) == {}
    for account_id, name in zip(ACCOUNTS, ("Annabella", "Annsecond"), strict=True):
        is_on_record = account_of(account_id).erasures == 1
        is_destroyed = keys_of(account_id)[0].erased_at is not None
        assert is_on_record or not is_destroyed, "no key goes before the event that says so"
        assert (name in shown(account_id)) is not is_destroyed
        assert (name in str(in_read_model((name,)))) is not is_on_record
