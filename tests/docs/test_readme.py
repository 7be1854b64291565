"""The README's transcript, executed: every command it shows is run, and must print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.live_system import LiveSystem
from tests.browser.money import settled
from tests.read_world import wait_until_applied
from tests.servers import REPOSITORY

README = REPOSITORY / "README.md"
# Ids and instants are new every time; the README shows an ellipsis.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
COMMAND_S_MAX = 90


def transcript() -> list[tuple[str, str]]:
    """Return the commands of the README's console blocks and what each is shown to print."""
    steps = []
    for block in re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL):
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, printed = step.partition("\n")
            steps.append((command, printed.strip()))
    return steps


@pytest.fixture
def live_system(clean_stores: None, tmp_path: Path) -> Iterator[LiveSystem]:
    system = LiveSystem.start(tmp_path)
    yield system
    system.stop()


def test_the_transcript_prints_what_the_readme_shows(live_system: LiveSystem) -> None:
    steps = transcript()
    assert len(steps) == 7
    environment = {
        **os.environ,
        "URL": live_system.url,
        "OPERATOR": live_system.credentials["operator"]["token"],
        "AUDITOR": live_system.credentials["auditor"]["token"],
    }
    for command, shown in steps:
        # The API waits for its read models too, but no longer than a second.
        wait_until_applied(settled())
        done = subprocess.run(
            ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=COMMAND_S_MAX
        )
        printed = _INSTANT.sub("…", _UUID.sub("…", done.stdout.strip()))
        assert printed == shown, f"{command}\n{done.stderr}"


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README.read_text()))
def test_what_the_readme_points_to_is_there(path: str) -> None:
    assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z]+)", README.read_text(), re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    subprocess.run(["make", "-n", target], cwd=REPOSITORY, check=True, capture_output=True)
