"""What axe-core thinks of a page: it comes from a package that is pinned, and what it calls serious is a fault here."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

SERIOUS = ("serious", "critical")
# What WCAG 2.2 AA asks, and what axe's authors think good besides.
EVERY_RULE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# What a theme can change.
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
# The script is half a megabyte: once a page. What is not wrong is not described, which is most of what axe says.
IS_THERE = "typeof axe === 'object'"
RUN = "rules => axe.run(document, { ...rules, resultTypes: ['violations'] }).then(found => found.violations)"


def faults(page: Page, rules: Any = EVERY_RULE) -> list[str]:
    """Return the serious faults of what is on the screen, a line for each rule with the first element it is about."""
    if not page.evaluate(IS_THERE):
        page.evaluate(AXE_SCRIPT)
    return [
        f"{violation['id']} ({len(violation['nodes'])}): {violation['nodes'][0]['html'][:160]}"
        for violation in page.evaluate(RUN, rules)
        if violation["impact"] in SERIOUS
    ]
