"""docs/running.md names every command and every variable there is, and none that is not."""

from __future__ import annotations

import re

from tests.servers import REPOSITORY

RUNNING = (REPOSITORY / "docs/running.md").read_text()
# Read by the launcher alone, before Django.
LAUNCHER_VARIABLES = {"PORT", "DEMO"}


def test_every_management_command_is_documented_and_no_other() -> None:
    paths = REPOSITORY.glob("*/management/commands/[a-z]*.py")
    assert set(re.findall(r"`manage\.py ([a-z_]+)", RUNNING)) == {path.stem for path in paths}


def test_every_variable_is_documented_and_no_other() -> None:
    settings = (REPOSITORY / "chronicle/settings.py").read_text()
    read = set(re.findall(r"env\.[a-z]+\(\s*\"([A-Z_]+)\"", settings))
    table = RUNNING[RUNNING.index("| variable |") : RUNNING.index("`$CHRONICLE_DATA/environment`")]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == read | LAUNCHER_VARIABLES
