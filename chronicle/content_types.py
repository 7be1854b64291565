"""Twisted's reading of a request's Content-Type, once for each there is.

Twisted looks for forms in every POST, by Python's `email`: 60 µs, a tenth of what a deposit costs, for a header that
is nearly always the same. Its outcome is of no use to daphne, which leaves the body to the application.
"""

from __future__ import annotations

from functools import lru_cache

from twisted.web import http

# A header's line has 16 KiB at most (twisted.protocols.basic.LineReceiver.MAX_LENGTH), so a megabyte at worst.
REMEMBERED_MAX = 64


def remember() -> None:
    """Have Twisted remember what it has read. A second call does nothing."""
    if not hasattr(http._parseContentType, "cache_info"):
        http._parseContentType = lru_cache(REMEMBERED_MAX)(http._parseContentType)
