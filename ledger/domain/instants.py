"""Instants: UTC with microseconds, written as RFC 3339 with six decimals and `Z`, and only so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=1024)  # the events of a command share theirs
def format_instant(instant: datetime) -> str:
    """Return `2026-01-31T12:00:00.000001Z`."""
    assert instant.tzinfo is not None, "an instant without an offset is no instant"
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"  # without +00:00


def parse_instant(text: str) -> datetime:
    """Return the instant of an RFC 3339 text with an offset. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs an offset, such as Z or +02:00")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:  # in the first or the last hours of the calendar
        raise ValueError("an instant lies within the years 1 to 9999, in UTC") from error
