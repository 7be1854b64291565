"""The system's Chromium, for the portal's figures and for the browser tests: where it is and how it is started.

Playwright drives it and brings none of its own here, so that both run wherever the system's packages can be had.
"""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS_PROGRAMS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# No sandbox, because Chromium refuses to make one as root; the rest keeps it from calling home.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """Return the path of a Chromium, or None when there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return next((program for program in MACOS_PROGRAMS if os.access(program, os.X_OK)), None)
