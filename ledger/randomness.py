"""Randomness for ids and nonces, fetched from the kernel for many of them at a time.

**Why** not os.urandom each time: it lets go of Python's lock to ask the kernel, and beside a busy thread waits to have
it back: 110 µs of a request, where an id takes 2 (ADR 16).
"""

from __future__ import annotations

import os

PIECE_BYTES = 16
FETCHED_PIECES = 256
_spare: list[bytes] = []
# A copy of the process must not give out the same ones.
os.register_at_fork(after_in_child=_spare.clear)


def random_piece() -> bytes:
    """Return PIECE_BYTES that nobody else has been given. From any thread."""
    try:
        return _spare.pop()
    except IndexError:
        fetched = os.urandom(PIECE_BYTES * FETCHED_PIECES)
        piece, *others = (fetched[start : start + PIECE_BYTES] for start in range(0, len(fetched), PIECE_BYTES))
        _spare.extend(others)
        return piece
