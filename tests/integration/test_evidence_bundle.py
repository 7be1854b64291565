"""An evidence bundle convinces a stranger with the one script inside it, and no altered byte of it does."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command

from ledger.evidence import bundle as bundles
from ledger.evidence import verify_evidence
from ledger.evidence.selection import Positioned, Selection
from ledger.store import log_key
from ledger.store.signed_note import Signer
from ledger.store.tree import Connection
from tests.proof_world import long_history, rows, small_history, submit, tamper
from tests.servers import Servers

pytestmark = pytest.mark.usefixtures("clean_stores")


def check(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own verifier as its receiver would: elsewhere, without Django and this project."""
    folder = bundle.parent / "receiver"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(bundle) as archive:
        (folder / "verify_evidence.py").write_bytes(archive.read("verify_evidence.py"))
    command = [sys.executable, "verify_evidence.py", str(bundle), *arguments]
    return subprocess.run(command, cwd=folder, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True)


def key() -> str:
    return log_key.load_signer().verifier.vkey


def export(tmp_path: Path, *arguments: str) -> Path:
    bundle = tmp_path / "evidence.zip"
    call_command("export_evidence", *arguments, "--output", str(bundle))
    return bundle


def rewritten(bundle: Path, changed: dict[str, bytes | None]) -> Path:
    """Copy a bundle with some files replaced, added, or (None) left out; the archive itself is sound."""
    copy = bundle.with_name("changed.zip")
    with zipfile.ZipFile(bundle) as source, copy.open("wb") as target:
        files = {name: source.read(name) for name in source.namelist()}
        kept = {name: content for name, content in {**files, **changed}.items() if content is not None}
        verify_evidence.write_archive(target, kept)
    return copy


def test_an_accounts_bundle_holds_all_its_events_and_verifies(tmp_path: Path) -> None:
    small_history()
    done = check(export(tmp_path, "--account", "ann"), "--key", key(), "--rules")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "events: 7, each proven to be in the log at its position" in done.stdout
    assert "it states: ann has versions 1 to 7 and no other at tree size 10" in done.stdout
    assert "chains: 7 links hold" in done.stdout
    assert "rules: 7 states replayed, 5 commands decided again" in done.stdout, "the transfer's other half is bob's"
    assert "OK: everything holds" in done.stdout


def test_a_period_and_chosen_events_verify_too(tmp_path: Path) -> None:
    small_history()
    period = check(
        export(tmp_path, "--period", "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"), "--key", key(), "--rules"
    )
    assert "events: 10" in period.stdout
    assert "7 commands decided again" not in period.stdout
    assert "10 states replayed, 8 commands decided again" in period.stdout
    ids = [str(row[0]) for row in rows("SELECT event_id FROM journal WHERE position IN (3, 9)")]
    chosen = check(export(tmp_path, "--events", *ids), "--key", key())
    assert "events: 2" in chosen.stdout
    assert (period.returncode, chosen.returncode) == (0, 0)


def test_the_same_evidence_is_the_same_bytes(tmp_path: Path) -> None:
    small_history()
    first = export(tmp_path, "--account", "ann").read_bytes()
    assert export(tmp_path, "--account", "ann").read_bytes() == first


def test_a_bundle_checked_under_its_own_key_says_so(tmp_path: Path) -> None:
    small_history()
    done = check(export(tmp_path, "--account", "bob"))
    assert done.returncode == 0
    assert "NOTE: checked under the bundle's own key" in done.stdout


def test_no_file_of_a_bundle_can_be_changed_left_out_or_added(tmp_path: Path) -> None:
    small_history()
    bundle = export(tmp_path, "--account", "bob")
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, content in files.items():
        middle = len(content) // 2
        altered = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else b"x"
        for replacement in (altered, None):
            done = check_unchanged_verifier(rewritten(bundle, {name: replacement}), "--key", key())
            assert (done.returncode, "BROKEN" in done.stdout) == (1, True), f"{name}: {done.stdout}{done.stderr}"
    done = check_unchanged_verifier(rewritten(bundle, {"events/000000000099.json": b"{}"}), "--key", key())
    assert done.returncode == 1


def test_the_files_of_a_bundle_cannot_be_put_in_another_order(tmp_path: Path) -> None:
    small_history()
    bundle = export(tmp_path, "--account", "bob")
    with zipfile.ZipFile(bundle) as archive, (tmp_path / "turned.zip").open("wb") as target:
        files = {name: archive.read(name) for name in reversed(archive.namelist())}
        verify_evidence.write_archive(target, files)
    with pytest.raises(verify_evidence.Broken, match="in that order"):
        verify_evidence.check_bundle(tmp_path / "turned.zip", key(), rules=False)


def test_files_that_lie_over_one_another_are_not_read(tmp_path: Path) -> None:
    """A directory that names one large file many times would have it read as many times."""
    single, many = tmp_path / "single.zip", tmp_path / "many.zip"
    with zipfile.ZipFile(single, "w") as archive:
        archive.writestr("a0", bytes(100_000))
    content = single.read_bytes()
    directory, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry = content[directory : end - len("a0")]
    entries = b"".join(entry + b"a%d" % number for number in range(10))
    many.write_bytes(content[:directory] + entries + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 10, 10,
                                                                 len(entries), directory, 0))  # fmt: skip
    assert len(zipfile.ZipFile(many).namelist()) == 10
    with pytest.raises(verify_evidence.Broken, match="larger than the bundle"):
        verify_evidence.check_bundle(many, key(), rules=False)


@pytest.mark.parametrize("spelt", ["{line}", "— {name} AAAAAAAA\n", "— somebody AAAAAAAA\n"])
def test_no_line_can_be_added_to_what_signs_a_bundle(tmp_path: Path, spelt: str) -> None:
    small_history()
    bundle = export(tmp_path, "--account", "bob")
    with zipfile.ZipFile(bundle) as archive:
        manifest = archive.read("MANIFEST")
    line = manifest.decode().rpartition("\n\n")[2]
    added = spelt.format(line=line, name=settings.LOG_ORIGIN).encode()
    done = check_unchanged_verifier(rewritten(bundle, {"MANIFEST": manifest + added}), "--key", key())
    assert (done.returncode, "BROKEN" in done.stdout) == (1, True), done.stdout + done.stderr


def check_unchanged_verifier(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The receiver has a verifier of their own, whatever became of the one in the bundle."""
    script = str(settings.BASE_DIR / "ledger" / "evidence" / "verify_evidence.py")
    return subprocess.run([sys.executable, script, str(bundle), *arguments], capture_output=True, text=True)


# Every byte of these, and some of the rest, whose length is the only difference.
WHOLE = ("key", "checkpoint", "events/", "proofs/")
STRIDE = 101


def places(bundle: Path) -> set[int]:
    """Return which bytes of an archive to flip: some of every file, all of some, all between and after them."""
    size = bundle.stat().st_size
    chosen, between = set(range(0, size, STRIDE)), set(range(size))
    with zipfile.ZipFile(bundle) as archive:
        for info in archive.infolist():
            start = info.header_offset + len(info.FileHeader())
            content = range(start, start + info.file_size)
            between -= set(content)
            chosen |= set(content if info.filename.startswith(WHOLE) else [*content[:1], *content[-1:]])
    return chosen | between


@pytest.mark.timeout(300)  # some ten thousand times
def test_any_flipped_byte_of_the_archive_is_noticed(tmp_path: Path) -> None:
    small_history()
    bundle = export(tmp_path, "--events", str(rows("SELECT event_id FROM journal WHERE position = 5")[0][0]))
    whole, known, flipped = bundle.read_bytes(), key(), tmp_path / "flipped.zip"
    verify_evidence.check_bundle(bundle, known, rules=False)
    for place in sorted(places(bundle)):
        bit = 1 << place % 8
        flipped.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        for believed in (known, None):  # also when the bundle's own key is all there is
            # What is wrong comes as one of these; the command turns each into BROKEN and exit 1.
            with pytest.raises((verify_evidence.Broken, *verify_evidence.UNREADABLE)):
                verify_evidence.check_bundle(flipped, believed, rules=False)


def test_evidence_of_another_key_is_refused(tmp_path: Path) -> None:
    small_history()
    bundle = export(tmp_path, "--account", "ann")
    other = Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate()).verifier.vkey
    done = check(bundle, "--key", other)
    assert (done.returncode, "not signed by" in done.stdout) == (1, True)


def test_nothing_to_prove_leaves_with_1_and_no_head_with_3(tmp_path: Path) -> None:
    log_key.load_or_create_signer()
    with pytest.raises(CommandError) as no_head:
        export(tmp_path, "--account", "ann")
    small_history()
    with pytest.raises(CommandError) as nothing:
        export(tmp_path, "--account", "nobody")
    with pytest.raises(CommandError) as usage:
        export(tmp_path, "--period", "yesterday", "today")
    with pytest.raises(CommandError) as nowhere:
        call_command("export_evidence", "--account", "ann", "--output", str(tmp_path / "no" / "such.zip"))
    assert [error.value.returncode for error in (no_head, nothing, usage, nowhere)] == [3, 1, 2, 2]


def test_an_event_that_is_not_there_is_not_left_out_of_the_chosen_ones_in_silence(tmp_path: Path) -> None:
    small_history()
    known, unknown = str(rows("SELECT event_id FROM journal WHERE position = 3")[0][0]), str(uuid4())
    with pytest.raises(CommandError, match=unknown) as nothing:
        export(tmp_path, "--events", known, unknown)
    assert (nothing.value.returncode, (tmp_path / "evidence.zip").exists()) == (1, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["UPDATE events SET data = jsonb_set(data, '{amount_minor}', '7') WHERE aggregate_id = 'ann' AND version = 4"],
         "ann version 4 at position 4 is not proven: its bytes"),
        (["UPDATE events SET data = jsonb_set(data, '{amount_minor}', '0.5') WHERE aggregate_id = 'ann' AND version = 4"],
         "ann version 4 at position 4 is not proven"),
        (["UPDATE journal SET position = 11 WHERE position = 3", "UPDATE journal SET position = 3 WHERE position = 4",
          "UPDATE journal SET position = 4 WHERE position = 11"], "version 3 of ann is missing before position 3"),
        (["DELETE FROM events WHERE aggregate_id = 'ann' AND version = 4", "DELETE FROM journal WHERE position = 4"],
         "version 4 of ann is missing before position 6"),
    ],
    ids=["an amount", "a float", "two in each other's place", "an event gone with its position"],
)  # fmt: skip
def test_what_does_not_prove_itself_is_not_handed_out(
    stack: Servers, tmp_path: Path, changes: list[str], words: str
) -> None:
    small_history()
    for change in changes:
        assert tamper(stack, change) == 1
    with pytest.raises(CommandError, match=words) as refused:
        export(tmp_path, "--account", "ann")
    assert (refused.value.returncode, (tmp_path / "evidence.zip").exists()) == (1, False)


def test_a_missing_tile_is_named_by_who_needs_it(stack: Servers, tmp_path: Path) -> None:
    long_history(300)
    assert tamper(stack, "DELETE FROM tiles WHERE level = 0 AND tile_index = 0") == 1
    with pytest.raises(CommandError, match="tile") as refused:
        export(tmp_path, "--account", "account-1")
    assert refused.value.returncode == 1


def test_a_statement_of_completeness_is_held_against_what_is_in_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who leaves an event out signs the manifest all the same: whoever receives it is told."""
    small_history()
    read = Selection.read

    def all_but_one(selection: Selection, conn: Connection, up_to: int) -> Positioned:
        return [found for found in read(selection, conn, up_to) if found[1].version != 4]

    monkeypatch.setattr(Selection, "read", all_but_one)
    monkeypatch.setattr(bundles, "_require_all", lambda events: None)
    done = check(export(tmp_path, "--account", "ann"), "--key", key())
    assert (done.returncode, "not all versions of ann are here, as is stated" in done.stdout) == (1, True), done.stdout


def test_a_bundle_is_proven_under_an_earlier_head_too(tmp_path: Path) -> None:
    from tests.proof_world import CreateAccount, sign

    small_history()
    submit(CreateAccount("later", "Later", "USD"))
    sign()
    done = check(export(tmp_path, "--account", "ann", "--tree-size", "10"), "--key", key())
    assert "tree head: 10 events" in done.stdout


def test_a_bundle_over_several_tiles_verifies(tmp_path: Path) -> None:
    long_history(600)
    done = check(export(tmp_path, "--account", "account-3"), "--key", key())
    assert done.returncode == 0, done.stdout + done.stderr
