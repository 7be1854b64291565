"""The browser of the browser tests is the system's, and a missing one is said, not hidden."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import chromium


def put_program(folder: Path, name: str, script: str = "exit 0") -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which only the programs of this folder exist."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("chronicle.bench.chromium.MACOS_PROGRAMS", ())
    monkeypatch.setattr(chromium.platform, "system", lambda: "Linux")
    return tmp_path


def test_the_one_that_is_there_is_used(programs: Path) -> None:
    expected = put_program(programs, "chromium-browser")
    assert chromium.find_or_install() == str(expected)


def test_a_missing_one_is_installed_by_root(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put_program(
        programs, "apt-get", f'[ "$1" = update ] || {{ : > {programs}/chromium; /bin/chmod 755 {programs}/chromium; }}'
    )
    assert chromium.find_or_install() == str(programs / "chromium")


def test_a_missing_one_is_installed_by_who_may_use_sudo(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    put_program(programs, "sudo", 'shift; "$@"')
    put_program(programs, "true")
    put_program(
        programs, "apt-get", f'[ "$1" = update ] || {{ : > {programs}/chromium; /bin/chmod 755 {programs}/chromium; }}'
    )
    assert chromium.find_or_install() == str(programs / "chromium")


def test_who_may_not_install_is_told_so(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    put_program(programs, "apt-get", "exit 100")
    with pytest.raises(chromium.BrowserMissing, match="no package manager that may install one"):
        chromium.find_or_install()


def test_a_failed_installation_says_which_command_and_why(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    put_program(programs, "apt-get", "echo 'E: no such package'; exit 100")
    with pytest.raises(chromium.BrowserMissing, match="apt-get update left with 100: E: no such package"):
        chromium.find_or_install()
