"""A killed launcher's children are found again by pid and start time, and nobody else's are touched."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chronicle.stack import leftovers
from chronicle.stack.leftovers import StartedProcesses


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sh", "-c", "trap '' HUP; echo up; while :; do sleep 0.01; done"], stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_outlived_its_launcher_is_stopped(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    StartedProcesses(tmp_path / "records").add("relay", child.pid, signal.SIGTERM)
    said: list[str] = []
    StartedProcesses(tmp_path / "records").stop_leftovers(said.append)
    assert child.wait(10) == -signal.SIGTERM
    assert said == [f"stopping relay (pid {child.pid}), which outlived its launcher"]
    assert json.loads((tmp_path / "records").read_text()) == {}


def test_one_that_ignores_its_signal_is_killed(
    tmp_path: Path, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "STOP_TIMEOUT_S", 0.2)
    StartedProcesses(tmp_path / "records").add("relay", child.pid, signal.SIGHUP)
    StartedProcesses(tmp_path / "records").stop_leftovers(lambda text: None)
    assert child.wait(10) == -signal.SIGKILL


def test_a_pid_that_was_given_to_another_program_is_left_alone(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    started = psutil.Process(child.pid).create_time() - 60
    record = {"relay": {"pid": child.pid, "started": started, "stop_signal": int(signal.SIGKILL)}}
    (tmp_path / "records").write_text(json.dumps(record))
    said: list[str] = []
    StartedProcesses(tmp_path / "records").stop_leftovers(said.append)
    assert (child.poll(), said) == (None, [])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[]", b"null", b"\xff\x00", b'{"relay": 7}', b'{"relay": {"pid": 7}}',
     b'{"relay": {"pid": -7, "started": 0, "stop_signal": 9}}',
     b'{"relay": {"pid": 99999999999999999999, "started": 0, "stop_signal": 9}}'],
)  # fmt: skip
def test_a_record_that_says_nothing_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "records").write_bytes(content)
    StartedProcesses(tmp_path / "records").stop_leftovers(lambda text: None)


def test_those_that_ended_are_forgotten(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    processes = StartedProcesses(tmp_path / "records")
    processes.add("relay", child.pid, signal.SIGTERM)
    assert json.loads((tmp_path / "records").read_text())["relay"]["pid"] == child.pid
    processes.remove("relay")
    assert json.loads((tmp_path / "records").read_text()) == {}
