"""What axe-core thinks of a page: it comes from a package that is pinned, and what it calls serious is a fault here."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = ("serious", "critical")
# What WCAG 2.2 AA asks, and what axe's authors think good besides.
EVERY_RULE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# What a theme can change.
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def faults(page: Page, rules: Any = EVERY_RULE) -> list[str]:
    """Return the serious faults of what is on the screen, a line for each rule with the first element it is about."""
    violations = Axe().run(page, options=rules).response["violations"]
    return [
        f"{violation['id']} ({len(violation['nodes'])}): {violation['nodes'][0]['html'][:160]}"
        for violation in violations
        if violation["impact"] in SERIOUS
    ]
