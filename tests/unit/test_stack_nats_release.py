"""A nats-server is taken from the machine, its packages or the pinned release, and never unverified."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from chronicle.stack import nats_release
from chronicle.stack.errors import StackError

PROGRAM = b"#!/bin/sh\necho nats-server: v0.0.0\n"


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, member: str | None = None) -> str:
    """Publish an archive where the release would be, and return its SHA-256."""
    stem = f"nats-server-v{nats_release.VERSION}-{nats_release.platform_name()}"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        entry = tarfile.TarInfo(member or f"{stem}/nats-server")
        entry.size = len(PROGRAM)
        tar.addfile(entry, io.BytesIO(PROGRAM))
    (folder / f"{stem}.tar.gz").write_bytes(content.getvalue())
    monkeypatch.setattr(nats_release, "RELEASE_URL", f"file://{folder}/{{stem}}.tar.gz")
    return hashlib.sha256(content.getvalue()).hexdigest()


def pin(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    monkeypatch.setattr(nats_release, "SHA256_BY_PLATFORM", {nats_release.platform_name(): digest})


def put_program(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_release_with_the_pinned_checksum_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, publish(tmp_path, monkeypatch))
    program = nats_release.from_release(tmp_path / "bin")
    assert program == tmp_path / "bin" / "nats-server"
    assert program.read_bytes() == PROGRAM
    assert os.access(program, os.X_OK)
    assert os.listdir(tmp_path / "bin") == ["nats-server"]


def test_a_release_with_another_checksum_is_refused_and_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, monkeypatch)
    pin(monkeypatch, "0" * 64)
    with pytest.raises(StackError, match="refused"):
        nats_release.from_release(tmp_path / "bin")
    assert not (tmp_path / "bin").exists()


def test_a_verified_archive_without_the_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, publish(tmp_path, monkeypatch, member="../../escaped"))
    with pytest.raises(StackError, match="holds no"):
        nats_release.from_release(tmp_path / "bin")
    assert os.listdir(tmp_path / "bin") == []


def test_a_machine_without_a_pinned_release_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_release, "SHA256_BY_PLATFORM", {})
    with pytest.raises(StackError, match="no pinned release for"):
        nats_release.from_release(tmp_path / "bin")


def test_a_release_that_cannot_be_reached_is_told_with_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_release, "RELEASE_URL", f"file://{tmp_path}/missing")
    with pytest.raises(StackError, match="could not be read"):
        nats_release.from_release(tmp_path / "bin")


@pytest.mark.parametrize("name", sorted(nats_release.SHA256_BY_PLATFORM))
def test_every_pinned_checksum_is_a_sha256(name: str) -> None:
    assert len(bytes.fromhex(nats_release.SHA256_BY_PLATFORM[name])) == 32


def test_the_program_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "nats-server", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nats_release.find_nats_server(tmp_path / "bin") == tmp_path / "nats-server"


def test_a_package_is_unpacked_without_being_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "apt-get", '[ "$1" = download ] && : > nats-server_1_amd64.deb')
    put_program(tmp_path, "dpkg-deb", 'mkdir -p "$3/usr/sbin" && echo program > "$3/usr/sbin/nats-server"')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = nats_release.from_packages(tmp_path / "bin")
    assert program.read_text() == "program\n"
    assert program.stat().st_mode & stat.S_IXUSR


def test_missing_package_lists_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "sudo", 'shift; exec "$@"')
    put_program(tmp_path, "dpkg-deb", 'mkdir -p "$3" && : > "$3/nats-server"')
    put_program(
        tmp_path,
        "apt-get",
        f'[ "$1" = update ] && : > {tmp_path}/lists && exit; [ -e {tmp_path}/lists ] && : > nats-server_1_amd64.deb',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert nats_release.from_packages(tmp_path / "bin").exists()


def test_when_every_source_fails_the_sentence_names_each_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nats_release, "EXTRA_FOLDERS", ())
    monkeypatch.setattr(nats_release, "RELEASE_URL", f"file://{tmp_path}/missing")
    said: list[str] = []
    with pytest.raises(StackError, match=r"packages: .*; Homebrew: .*; release: .*NATS_URL") as raised:
        nats_release.find_nats_server(tmp_path / "bin", said.append)
    assert "\n" not in str(raised.value)
    assert len(said) == 3
