"""`.ci/run` ends with pytest's closing line and the status of `make test`, whatever make prints after it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PASSED = "============= 12 passed, 2 skipped in 3.45s ============="
FAILED = "======= 1 failed, 11 passed in 63.10s (0:01:03) ======="


def run(folder: Path, make: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script where `make` is this shell script."""
    (folder / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci" / "run", folder / ".ci" / "run")
    program = folder / "make"
    program.write_text(f"#!/bin/sh\n{make}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "CI": ""}
    return subprocess.run([str(folder / ".ci" / "run")], capture_output=True, text=True, env=environment)


def test_it_calls_make_test_and_nothing_else(tmp_path: Path) -> None:
    done = run(tmp_path, f'echo "$@ CI=$CI"; echo "{PASSED}"')
    assert (done.returncode, done.stdout) == (0, f"test CI=true\n{PASSED}\n")


def test_a_failure_still_ends_with_the_closing_line(tmp_path: Path) -> None:
    done = run(tmp_path, f'echo "{FAILED}"; echo "make: *** [test] Error 1"; exit 2')
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == FAILED


@pytest.mark.parametrize("status", [1, 2, 130])
def test_without_a_closing_line_the_status_says_it(tmp_path: Path, status: int) -> None:
    done = run(tmp_path, f"echo 'ruff found something'; exit {status}")
    assert (done.returncode, done.stdout) == (status, "ruff found something\n")
