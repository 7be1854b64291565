"""`manage.py erase_subject`: who may, what it waits for, and a certificate that holds or is not written."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command

from auditor.access_log import ACCOUNT, record
from chronicle.roles import Role
from ledger.engine import erasure
from ledger.engine.erasure import erase
from ledger.evidence import certificate
from ledger.evidence.bundle import VERIFIER
from ledger.evidence.verify_evidence import UNREADABLE, Broken, check_certificate
from ledger.store import log_key
from ledger.store.connection import connection
from ledger.store.signed_note import Signer
from projections.models import Account
from tests.api_world import new_user
from tests.erasure_world import ABOUT_ANN, found_in, in_read_model, in_statistics, signed_texts, texts
from tests.key_world import rotate
from tests.ledger_world import rows
from tests.portal_world import page, signed_in
from tests.proof_world import sign, tamper
from tests.read_world import (
    projector,
    relay,
    wait_until_applied,
)
from tests.servers import Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores")


def applied() -> None:
    sign()
    with projector():
        wait_until_applied()


def run(*arguments: str) -> str:
    printed = StringIO()
    call_command("erase_subject", *arguments, stdout=printed)
    return printed.getvalue()


def test_the_command_erases_certifies_and_waits_until_all_is_forgotten(tmp_path: Path, stack: Servers) -> None:
    texts()
    admin = new_user(Role.ADMINISTRATOR).get_username()
    file = tmp_path / "ann.certificate"
    with relay(), projector():
        printed = run("--account", "ann", "--reason", "request 17", "--actor", admin, "--yes", "--output", str(file))
        assert "the read models have forgotten" in printed
        again = run("--account", "ann", "--reason", "request 17", "--actor", admin, "--yes", "--output", str(file))
        assert "the read models have forgotten" in again
    assert in_read_model(ABOUT_ANN) == {}
    stated = check_certificate(file.read_text(), key())
    assert [(e["generation"], e["grounds"], e["actor"]) for e in stated["erasures"]] == [(0, "request 17", admin)]
    assert [k["generation"] for k in stated["keys_destroyed"]] == [0]
    assert {e["aggregate_id"] for e in stated["erased"]} == {"ann", "bob", "cid"}, "both sides of what they shared"
    assert {name for e in stated["erased"] for name in e["fields"]} == {
        "data.owner_name", "data.description", "data.reason", "state.owner_name",
    }  # fmt: skip
    assert stated["not_erased"] == []
    assert [word for word in ABOUT_ANN if word in file.read_text()] == []
    assert "ann, " in run("--check", str(file))
    forged = tmp_path / "forged"
    forged.write_text(file.read_text().replace("request 17", "request 71"))
    with pytest.raises(CommandError, match="does not hold"):
        run("--check", str(forged))


def test_no_sample_of_a_column_that_the_databases_plan_with_outlives_it(tmp_path: Path, stack: Servers) -> None:
    """Autovacuum takes them whenever it likes: of names and descriptions, of what was searched for, of keys."""
    texts()
    applied()
    user, admin = new_user(Role.AUDITOR), new_user(Role.ADMINISTRATOR).get_username()
    for path in ("/a/?q=Annabella", "/a/?q=Annabella", "/a/?q=Bobby"):
        record(user, ACCOUNT, "ann", path)
    read_model, portal = settings.READ_MODEL_URL, settings.DATABASE_URL
    with psycopg.connect(libpq(portal)) as connection:
        ((key_of_ann,),) = connection.execute("SELECT encode(key, 'hex') FROM subject_keys WHERE account_id = 'ann'")
    for url in (read_model, portal):
        with psycopg.connect(libpq(url), autocommit=True) as connection:
            connection.execute("ANALYZE")
    assert {"accounts", "transactions"} <= in_statistics(read_model, "Ann")
    assert in_statistics(portal, "Annabella") == {"access_log"}
    assert in_statistics(portal, key_of_ann) == {"subject_keys"}
    with relay(), projector():
        run("--account", "ann", "--reason", "request 17", "--actor", admin, "--yes", "--output", str(tmp_path / "ann"))
    assert [word for word in ABOUT_ANN if in_statistics(read_model, word) or in_statistics(portal, word)] == []
    assert in_statistics(portal, key_of_ann) == set()


def test_what_was_searched_for_in_a_subjects_texts_is_cleared_too(tmp_path: Path, stack: Servers) -> None:
    texts()
    applied()
    auditor, admin = signed_in(Role.AUDITOR), new_user(Role.ADMINISTRATOR).get_username()
    searched = ("Annhotel", "annhot", "Annrefused", "Annrent", "Bobwages", "Initial")
    for word in searched:
        record(new_user(Role.AUDITOR), ACCOUNT, "ann", f"/a/?q={word}&p=2")
        asked = auditor.post(f"/admin/exports/new/?list=projections.transaction&q={word}", {"format": "csv"})
        assert asked.status_code == 302
    assert auditor.get(page(Account, "change", "ann"), {"text": "Annhotel"}).status_code == 200
    portal = settings.DATABASE_URL
    assert set(found_in(portal, searched)["public.access_log"]) == set(searched)
    assert set(found_in(portal, searched)["public.jobs"]) == set(searched)
    with relay(), projector():
        run("--account", "ann", "--reason", "request 17", "--actor", admin, "--yes", "--output", str(tmp_path / "ann"))
    assert found_in(portal, searched) == {
        name: ["Bobwages", "Initial"] for name in ("public.access_log", "public.jobs")
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--account", "ann", "--actor", "ADMIN", "--yes"),
        ("--account", "ann", "--reason", "request 17", "--yes"),
        ("--account", "ann", "--reason", "request 17", "--actor", "OPERATOR", "--yes"),
        ("--account", "ann", "--reason", "request 17", "--actor", "nobody", "--yes"),
        ("--account", "nobody", "--reason", "request 17", "--actor", "ADMIN", "--yes"),
        ("--account", "ann", "--reason", "request 17", "--actor", "ADMIN"),
    ],
)
def test_who_may_not_or_does_not_confirm_erases_nothing(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts()
    names = {role.name: new_user(role).get_username() for role in (Role.OPERATOR, Role.ADMINISTRATOR)}
    given = [{"ADMIN": names["ADMINISTRATOR"], "OPERATOR": names["OPERATOR"]}.get(word, word) for word in arguments]
    monkeypatch.setattr("builtins.input", lambda _: "bob")
    with pytest.raises(CommandError) as caught:
        run(*given)
    assert caught.value.returncode == 2
    assert erasure.account_of("ann").erasures == 0


def test_without_a_relay_the_key_is_destroyed_and_the_next_run_certifies(tmp_path: Path) -> None:
    signed_texts()
    admin = new_user(Role.ADMINISTRATOR).get_username()
    arguments = ("--account", "ann", "--reason", "request 17", "--actor", admin, "--yes", "--wait", "0",
                 "--output", str(tmp_path / "certificate"))  # fmt: skip
    with pytest.raises(CommandError, match="no signed head covers") as caught:
        run(*arguments)
    assert caught.value.returncode == 3
    sign()
    with pytest.raises(CommandError, match="have not forgotten yet"):
        run(*arguments)
    applied()
    assert "forgotten" in run(*arguments)
    assert rows("SELECT count(*) FROM events WHERE event_type = 'SubjectErased'") == [(1,)]


def key() -> str:
    return log_key.load_signer().verifier.vkey


def _certificate() -> tuple[str, Signer]:
    signed_texts()
    return _certificate_of_ann()


def _certificate_of_ann() -> tuple[str, Signer]:
    erase("ann", "request 17", "admin")
    head, signer = sign(), log_key.load_signer()
    with connection() as conn:
        return certificate.write_certificate(conn, "ann", {"ann": erasure.keys.keys_of("ann")}, head, signer), signer


def test_a_certificate_holds_for_the_logs_key_alone_and_every_proof_in_it_is_checked() -> None:
    note, signer = _certificate()
    stated = check_certificate(note, key())
    assert stated["erased"]
    other = Signer("other.example/log", signer.private_key)
    for stranger in (other, Signer(signer.name, Ed25519PrivateKey.generate())):
        with pytest.raises(Broken):
            check_certificate(note, stranger.verifier.vkey)
    text = note.rpartition("\n\n")[0] + "\n"
    for proven in (*stated["erased"], *stated["erasure_proofs"]):
        forged = signer.sign(text.replace(proven["hash"], "00" * 32))
        with pytest.raises(Broken, match="is not in the log"):
            check_certificate(forged, key())


def test_no_certificate_is_written_while_a_key_stands_or_an_event_is_altered(
    monkeypatch: pytest.MonkeyPatch, stack: Servers
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(erasure.keys, "destroy", lambda *_, **__: None)
        with pytest.raises(certificate.NotCertifiable, match="not destroyed"):
            _certificate()
    tamper(stack, "UPDATE events SET data = jsonb_set(data, '{reason}', '\"x\"') WHERE event_type = 'AccountFrozen'")
    with pytest.raises(certificate.NotCertifiable, match="not proven"):
        _after_tampering()


def _after_tampering() -> Any:
    erase("ann", "request 17", "admin")
    with connection() as conn:
        return certificate.write_certificate(
            conn, "ann", {"ann": erasure.keys.keys_of("ann")}, sign(), log_key.load_signer()
        )


def offline(tmp_path: Path, certificate_: Path, vkey: str) -> subprocess.CompletedProcess[str]:
    """Check a certificate as its receiver would: elsewhere, with the one script and without Django."""
    (tmp_path / "verify_evidence.py").write_bytes(VERIFIER.read_bytes())
    command = [sys.executable, "-P", "verify_evidence.py", str(certificate_), "--key", vkey]
    return subprocess.run(command, cwd=tmp_path, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True)


def test_a_certificate_is_checked_by_the_offline_script_and_no_altered_byte_of_it_is_believed(tmp_path: Path) -> None:
    note, signer = _certificate()
    file = tmp_path / "certificate"
    file.write_text(note)
    done = offline(tmp_path, file, key())
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("erased: ann (accounts ann), in 1 erasures on record", "NOT erased: 0", "OK: everything holds"):
        assert said in done.stdout
    signed_by_nobody = f"{note}— approved.example/office {note.rpartition(' ')[2]}"
    for altered in (note.replace("request 17", "request 71"), signed_by_nobody, note.replace("\n", "\r\n")):
        file.write_bytes(altered.encode())
        broken = offline(tmp_path, file, key())
        assert (broken.returncode, "BROKEN" in broken.stdout) == (1, True)
    whole = note.encode()
    for place in range(0, len(whole), 7):
        flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises((Broken, *UNREADABLE)):
            check_certificate(flipped.decode(), key())
    stated = json.loads(note.rpartition("\n\n")[0].partition("\n")[2])
    unproven = json.dumps({**stated, "erasure_proofs": []})
    with pytest.raises(Broken, match="an erasure is not proven"):
        check_certificate(signer.sign(f"{signer.name} erasure\n{unproven}\n"), key())


@pytest.mark.usefixtures("own_key")
def test_a_certificate_is_believed_from_the_key_before_and_after_a_change_of_keys(tmp_path: Path) -> None:
    signed_texts()
    first = key()
    rotate()
    sign()
    note, _ = _certificate_of_ann()
    assert key() != first
    for known in (first, key()):
        assert check_certificate(note, known)["account_ids"] == ["ann"]
    file = tmp_path / "certificate"
    file.write_text(note)
    assert "ann, " in run("--check", str(file))
    assert offline(tmp_path, file, first).returncode == 0
