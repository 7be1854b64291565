"""The system's Chromium for the browser tests: found, or installed by the system's package manager.

Playwright's own download is not used, so that the tests run wherever the system's packages can be had. In CI
a missing browser is a failure, never a silent skip.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

from chronicle.bench.chromium import ARGUMENTS, find

__all__ = ["ARGUMENTS", "BrowserMissing", "find_or_install"]

INSTALL_TIMEOUT_S = 900
LOG_LINES_SHOWN = 5


class BrowserMissing(Exception):
    """There is no Chromium and none could be installed. `str()` says what was tried."""


def find_or_install() -> str:
    """Return the path of a Chromium.

    **Raises** BrowserMissing.
    """
    return find() or install()


def install() -> str:
    commands = _install_commands()
    if not commands:
        raise BrowserMissing("no Chromium on PATH, and no package manager that may install one (root or sudo -n)")
    for command in commands:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode != 0:
            last_lines = " / ".join(done.stdout.strip().splitlines()[-LOG_LINES_SHOWN:])
            raise BrowserMissing(f"{' '.join(command)} left with {done.returncode}: {last_lines}")
    found = find()
    if not found:
        raise BrowserMissing("the package manager installed a Chromium that is not on PATH")
    return found


def _install_commands() -> list[list[str]]:
    if platform.system() == "Darwin":
        return [["brew", "install", "--cask", "chromium"]] if shutil.which("brew") else []
    if not shutil.which("apt-get"):
        return []
    as_root = _as_root()
    if as_root is None:
        return []
    install = [*as_root, "apt-get", "install", "-y", "--no-install-recommends", "chromium"]
    return [[*as_root, "apt-get", "update"], install]


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    is_passwordless = subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0
    return ["sudo", "-n"] if is_passwordless else None
