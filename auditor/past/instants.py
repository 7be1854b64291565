"""Instants as people type them, and as addresses carry them: UTC, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms

from ledger.domain.instants import format_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HELP = "Write an instant as 2026-01-31 12:00:00.000001; it is taken as UTC."


def parse(text: str) -> datetime:
    """Return the instant of a date, or of a date and a time; without an offset it is UTC. Raises: ValueError."""
    # What `+` became in an address that nobody escaped; a date and a time are also parted by one space.
    found = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def in_words(instant: datetime) -> str:
    """Return an instant as sentences and headings have it; `formats.instant` is the same for cells."""
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'microseconds')} UTC"


def microseconds(instant: datetime) -> int:
    """Return the count since 1970: a whole number that a script holds exactly until the year 2255."""
    return (instant - EPOCH) // MICROSECOND


class InstantField(forms.Field):
    """An instant in a form; typed text comes back as it was typed."""

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return parse(value)
        except (ValueError, OverflowError) as error:
            raise forms.ValidationError(HELP) from error

    def prepare_value(self, value: Any) -> Any:
        return format_instant(value) if isinstance(value, datetime) else value
