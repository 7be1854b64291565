"""Reversals as an export: those that their page lists, all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.http import QueryDict

from auditor.exports import source
from auditor.exports.columns import Column, Kind, named
from auditor.exports.source import NoSuchList
from auditor.past.reversals import ReversalsForm, Reversed, accounts_of, read_reversals
from ledger.domain.money import format_minor

LABEL, NAME = "reversals", "Reversals"


def _amount(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: format_minor(row[f"{name}_minor"], row["currency"])


_OF_DATA = ("amount_minor", "original_minor", "currency", "reason", "is_forced")
_KINDS = {"amount_minor": Kind.INTEGER, "original_minor": Kind.INTEGER, "is_forced": Kind.BOOLEAN}
COLUMNS = [
    named("position", Kind.INTEGER),
    named("recorded_at", Kind.INSTANT),
    named("actor"),
    named("accounts"),
    Column("amount", Kind.DECIMAL, _amount("amount")),
    Column("original", Kind.DECIMAL, _amount("original")),
    *(named(name, _KINDS.get(name, Kind.TEXT)) for name in _OF_DATA),
    named("event_id"),
    named("reversed_command_id"),
]


class ReversalsSource:
    columns = COLUMNS

    def __init__(self, *, is_forced: bool) -> None:
        self._is_forced = is_forced

    def pieces(self) -> Iterator[list[list[Any]]]:
        before: int | None = None
        while True:
            page = read_reversals(is_forced=self._is_forced, before=before, limit=source.ROWS_PER_PIECE)
            accounts = accounts_of(page.found)
            if page.found:
                yield [self._row(one, accounts.get(one.position, [])) for one in page.found]
            before = page.next_before
            if before is None:
                return

    def count(self) -> int | None:
        return None

    def _row(self, one: Reversed, accounts: list[str]) -> list[Any]:
        values = {
            **one.data,
            "position": one.position,
            "recorded_at": one.recorded_at,
            "actor": one.metadata.get("actor", ""),
            "accounts": " ".join(accounts),
            "event_id": str(one.event_id),
            "reversed_command_id": str(one.reversed_command),
        }
        return [column.value(values) for column in self.columns]


def open_source(given: QueryDict) -> ReversalsSource:
    """Raises: NoSuchList."""
    form = ReversalsForm(given)
    if not form.is_valid():
        raise NoSuchList("reversals cannot be narrowed like that")
    return ReversalsSource(is_forced=form.cleaned_data["forced"])


def subjects(given: QueryDict) -> list[tuple[str, str]]:
    return []
