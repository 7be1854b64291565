"""What others see of a log that changed its key: over HTTP, with a kept head, in evidence."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from ledger.domain.commands import Deposit
from ledger.evidence import verify_evidence
from ledger.evidence.balance import packed, prove_balance
from ledger.store import log_key, succession
from ledger.store.signed_note import Signer
from ledger.verify.faults import Kind
from tests.key_world import current, found, rotate, rotated_history
from tests.proof_world import Decimal, order, rows, sign, small_history, submit, tamper
from tests.servers import REPOSITORY, Servers

pytestmark = pytest.mark.usefixtures("clean_stores", "own_key")


def test_the_log_offers_the_key_of_its_last_head_and_all_its_keys() -> None:
    small_history()
    client, first = Client(), current()
    before = client.get("/log/keys").json()["keys"]
    assert before == [{"key": first.vkey, "from_tree_size": 0, "note": None}]
    rotate()
    order()
    assert client.get("/log/key").text.strip() == first.vkey, "the last head is still the old key's"
    sign()
    assert client.get("/log/key").text.strip() == current().vkey
    listed = client.get("/log/keys").json()["keys"]
    assert [(key["key"], key["from_tree_size"]) for key in listed] == [(first.vkey, 0), (current().vkey, 11)]
    verify_evidence.Keys(first.vkey, None).link((first.vkey, current().vkey), listed[1]["note"])


@pytest.mark.parametrize("known", ["old", "new"])
def test_a_head_kept_from_before_and_one_from_after_are_both_understood(tmp_path: Path, known: str) -> None:
    first, second = rotated_history()
    kept = rows("SELECT note FROM tree_heads ORDER BY tree_size LIMIT 1")[0][0]
    key = {"old": first, "new": second}[known]
    later = rows("SELECT note FROM tree_heads ORDER BY tree_size DESC LIMIT 1")[0][0]
    assert found(key, against=(("before", kept), ("after", later))) == []
    (tmp_path / "kept").write_text(kept)
    command = [sys.executable, str(REPOSITORY / "manage.py"), "verify_ledger", "--against", str(tmp_path / "kept")]
    done = subprocess.run([*command, "--key", key.vkey], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rewritten_history_is_found_by_a_head_that_the_old_key_signed(stack: Servers) -> None:
    first, _ = rotated_history()
    kept = rows("SELECT note FROM tree_heads ORDER BY tree_size LIMIT 1")[0][0]
    tamper(
        stack,
        "UPDATE journal SET event_hash = set_byte(event_hash, 0, 255 - get_byte(event_hash, 0)) WHERE position = 2",
    )
    assert Kind.REWRITTEN in {fault.kind for fault in found(first, against=(("kept", kept),))}


@pytest.mark.parametrize("size", ["10", "12"])
def test_a_bundle_is_believed_from_the_old_key_and_from_the_new_one(tmp_path: Path, size: str) -> None:
    first, second = rotated_history()
    bundle = tmp_path / "evidence.zip"
    call_command("export_evidence", "--account", "ann", "--tree-size", size, "--output", str(bundle))
    verify_evidence.check_bundle(bundle, first.vkey, rules=False)
    verify_evidence.check_bundle(bundle, second.vkey, rules=False)
    stranger = Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate()).verifier
    with pytest.raises(verify_evidence.Broken, match="lead to no key that is believed"):
        verify_evidence.check_bundle(bundle, stranger.vkey, rules=False)


def test_a_proven_balance_is_believed_from_either_key_and_small_after_five_changes(tmp_path: Path) -> None:
    first, _ = rotated_history()
    for _ in range(4):
        rotate()
        sign()
    ((at, state),) = rows("SELECT recorded_at, state FROM events WHERE aggregate_id = 'ann' AND version = 8")
    answer = {
        "account_id": "ann", "version": 8, "currency": "USD", "balance": f"{Decimal(state['balance_minor']) / 100:.2f}",
        "status": state["status"], "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "proof": prove_balance("ann", 8),
    }  # fmt: skip
    path = tmp_path / "balance.json"
    path.write_text(json.dumps(answer))
    for key in (first, current()):
        verify_evidence.check_balance(path, key.vkey)
    assert path.stat().st_size <= 8 * 1024
    *lines, notes = verify_evidence.unpack(answer["proof"]["packed"])
    notes = json.loads(notes)
    forged = [notes[0].replace("succession\n", "succession\n ")]
    for changed in (notes[1:], notes[:-1], notes[::-1], [notes[0], *notes[2:]], [], [*forged, *notes[1:]]):
        text = "\n".join([*lines, json.dumps(changed, ensure_ascii=False)]).encode()
        path.write_text(json.dumps(answer | {"proof": answer["proof"] | {"packed": packed(text)}}))
        with pytest.raises((verify_evidence.Broken, *verify_evidence.UNREADABLE)):
            verify_evidence.check_balance(path, first.vkey)


def test_a_note_of_one_key_alone_is_no_change(tmp_path: Path) -> None:
    old, new = (Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate()) for _ in range(2))
    text = succession.text_of(old.verifier, new.verifier)
    keys, pair = verify_evidence.Keys(old.verifier.vkey, None), (old.verifier.vkey, new.verifier.vkey)
    keys.link(pair, succession.sign_change(old, new))
    for note in (old.sign(text), new.sign(text)):
        with pytest.raises(verify_evidence.Broken, match="not signed by both"):
            keys.link(pair, note)


def forged(bundle: Path, signers: dict[str, Signer], head: str, **replaced: Any) -> Path:
    """Copy a bundle under a head of the forger's own; the manifest is made right, and signed by `signers`."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    ((text, signer),) = ((head, signers["head"]),)
    note = signer.sign(text)
    keys = json.loads(files["succession.json"]) | replaced
    files |= {"checkpoint": note.encode(), "succession.json": json.dumps(keys).encode()}
    for name in [name for name in files if name.startswith("proofs/")]:
        files[name] = files[name].partition(b"\n\n")[0] + b"\n\n" + note.encode()
    lines = files.pop("MANIFEST").decode().split("\n")
    digests = [f"{sha256(content).hexdigest()}  {name}" for name, content in files.items()]
    files["MANIFEST"] = signers["manifest"].sign("\n".join([*lines[:3], *digests]) + "\n").encode()
    copy = bundle.with_name("forged.zip")
    with copy.open("wb") as target:
        verify_evidence.write_archive(target, files)
    return copy


@pytest.mark.parametrize("size", [10, 12])
def test_a_head_counts_only_under_the_key_of_its_size_also_offline(tmp_path: Path, size: int) -> None:
    small_history()
    old = log_key.load_signer()
    rotate()
    sign()
    submit(Deposit("ann", Decimal(1)))
    sign()
    new, bundle = log_key.load_signer(), tmp_path / "evidence.zip"
    call_command("export_evidence", "--account", "ann", "--tree-size", str(size), "--output", str(bundle))
    right, wrong = (old, new) if size == 10 else (new, old)
    with zipfile.ZipFile(bundle) as archive:
        text = archive.read("checkpoint").decode().rpartition("\n\n")[0] + "\n"
    same = forged(bundle, {"head": right, "manifest": new}, text)
    verify_evidence.check_bundle(same, old.verifier.vkey, rules=False)
    for known in (old, new):
        with pytest.raises(verify_evidence.Broken, match="not signed by the key"):
            verify_evidence.check_bundle(
                forged(bundle, {"head": wrong, "manifest": new}, text), known.verifier.vkey, rules=False
            )
        with pytest.raises(verify_evidence.Broken, match="not signed by the key"):
            verify_evidence.check_bundle(
                forged(bundle, {"head": right, "manifest": old}, text), known.verifier.vkey, rules=False
            )


def test_a_thief_of_the_old_key_proves_nothing_to_who_knows_the_new_one(tmp_path: Path) -> None:
    """With it, and a history of their own in which the keys never changed, or changed elsewhere."""
    small_history()
    old = log_key.load_signer()
    rotate()
    sign()
    new, bundle = log_key.load_signer().verifier, tmp_path / "evidence.zip"
    call_command("export_evidence", "--account", "ann", "--tree-size", "10", "--output", str(bundle))
    with zipfile.ZipFile(bundle) as archive:
        keys = json.loads(archive.read("succession.json"))
        origin, size, _ = archive.read("checkpoint").decode().split("\n")[:3]
    other = f"{origin}\n{size}\n{base64.b64encode(sha256(b'mine').digest()).decode()}\n"
    both = {"head": old, "manifest": old}
    moved = [{**keys["changes"][0], "index": 99}]
    for replaced in ({}, {"changes": []}, {"changes": moved}, {"checkpoint": old.sign(other), "changes": moved}):
        with pytest.raises((verify_evidence.Broken, *verify_evidence.UNREADABLE)):
            verify_evidence.check_bundle(forged(bundle, both, other, **replaced), new.vkey, rules=False)


def test_a_key_change_without_the_key_leaves_with_3(tmp_path: Path) -> None:
    log_key.key_path().unlink()
    with pytest.raises(CommandError) as missing:
        rotate()
    assert missing.value.returncode == 3
