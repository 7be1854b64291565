"""Ids for commands: version 4, from randomness that is fetched for many of them at a time."""

from __future__ import annotations

from uuid import UUID

from ledger.randomness import random_piece


def new_id() -> UUID:
    """Return an id that nobody else has. From any thread."""
    return UUID(bytes=random_piece(), version=4)
