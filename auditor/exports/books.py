"""The books as of an instant or a position as an export: every balance, or every account that differs between two.

They are added up for so many accounts at once, up to the position that the first of them were read at: what is
ordered while the rest is read is in none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.http import QueryDict

from auditor.exports import source
from auditor.exports.columns import Column, Kind, named
from auditor.exports.source import NoSuchList
from auditor.past.books import BooksForm
from ledger.domain.money import format_minor
from projections.time_travel import Balance, Change, Cut, books, difference

LABEL, NAME = "books", "Books as of"
# Of one reading, which adds up every posting; some 20 MB.
ACCOUNTS_PER_READING = 50_000


def _columns(names: dict[str, Kind]) -> list[Column]:
    return [named(name, kind) for name, kind in names.items()]


_ABOUT = {"account_id": Kind.TEXT, "currency": Kind.TEXT}
_AT = {"at_position": Kind.INTEGER, "is_final": Kind.BOOLEAN}
BALANCES = _columns({**_ABOUT, "balance_minor": Kind.INTEGER, "balance": Kind.DECIMAL, **_AT})
CHANGES = _columns(
    {
        **_ABOUT,
        **{f"{what}{unit}": kind for what in ("before", "after", "change")
           for unit, kind in (("_minor", Kind.INTEGER), ("", Kind.DECIMAL))},
        "before_position": Kind.INTEGER, "after_position": Kind.INTEGER, "is_final": Kind.BOOLEAN,
    }
)  # fmt: skip


class BooksSource:
    """Every balance at a cut."""

    columns = BALANCES

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._at: dict[str, Any] = {}  # what the first reading said of where it was cut

    def pieces(self) -> Iterator[list[list[Any]]]:
        after: str | None = None
        while rows := self._read(after):
            yield from _in_pieces(self.columns, rows)
            after = rows[-1]["account_id"]

    def count(self) -> int | None:
        return None  # known when they are added up

    def _read(self, after: str | None) -> list[dict[str, Any]]:
        found = books(self._cut, after, ACCOUNTS_PER_READING)
        self._cut = replace(self._cut, position=found.at_position)
        self._at = self._at or {"at_position": found.at_position, "is_final": found.is_final}
        return [{**_balance(balance), **self._at} for balance in found.balances]


class DifferenceSource(BooksSource):
    """Every account whose balances differ between two cuts."""

    columns = CHANGES

    def __init__(self, cut: Cut, against: Cut) -> None:
        super().__init__(cut)
        self._against = against

    def _read(self, after: str | None) -> list[dict[str, Any]]:
        found = difference(self._cut, self._against, after, ACCOUNTS_PER_READING)
        before, later = found.before.at_position, found.after.at_position
        self._cut, self._against = replace(self._cut, position=before), replace(self._against, position=later)
        said = {"before_position": before, "after_position": later, "is_final": found.is_final}
        self._at = self._at or said
        return [{**_change(change), **self._at} for change in found.changes]


def _balance(row: Balance) -> dict[str, Any]:
    return {
        "account_id": row.account_id,
        "currency": row.currency,
        **_money("balance", row.balance_minor, row.currency),
    }


def _change(row: Change) -> dict[str, Any]:
    amounts = {"before": row.before_minor, "after": row.after_minor, "change": row.after_minor - row.before_minor}
    shown = [_money(name, amount_minor, row.currency) for name, amount_minor in amounts.items()]
    return {"account_id": row.account_id, "currency": row.currency} | shown[0] | shown[1] | shown[2]


def _money(name: str, amount_minor: int, currency: str) -> dict[str, Any]:
    return {f"{name}_minor": amount_minor, name: format_minor(amount_minor, currency)}


def _in_pieces(columns: list[Column], rows: list[dict[str, Any]]) -> Iterator[list[list[Any]]]:
    for start in range(0, len(rows), source.ROWS_PER_PIECE):
        yield [[column.value(row) for column in columns] for row in rows[start : start + source.ROWS_PER_PIECE]]


def open_source(given: QueryDict) -> BooksSource:
    """Return the balances at the page's cut, or what differs between its two. Raises: NoSuchList."""
    form = BooksForm(given)
    if not form.is_valid():
        raise NoSuchList("; ".join(str(error) for errors in form.errors.values() for error in errors))
    cut, against = form.cleaned_data["at"], form.cleaned_data["against"]
    if cut is None:
        raise NoSuchList("the books are of an instant or of a position")
    return BooksSource(cut) if against is None else DifferenceSource(cut, against)


def subjects(given: QueryDict) -> list[tuple[str, str]]:
    return []  # of nobody in particular: the list itself is on record
