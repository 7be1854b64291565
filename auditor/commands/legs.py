"""The sides of a transfer with several accounts: lines of an account and an amount, as many as are filled in.

A line left empty counts as left out. What is wrong with a line is told beside its own field, under the name
`<side>.<number>.<field>`, by the same rules as the API's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from rest_framework.fields import empty

from ledger.api.submissions import LegsField
from ledger.domain.commands import LEGS_MAX
from ledger.domain.errors import InvalidField
from ledger.errors import LedgerError

FIELDS = ("account_id", "amount")
# A filled-in command travels in the address: this many lines a side stay under the 8 KiB that a proxy takes of one.
LINES_MAX = 25
LINES_MIN = 2  # shown, filled in or not
LABELS = {"sources": "From", "targets": "To"}
Leg = dict[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a line; `name` is what it is posted as, `key` what it is known by on the page."""

    name: str
    key: str
    label: str
    value: str
    is_amount: bool
    problem: LedgerError | None


def given_in(posted: Mapping[str, Any], side: str) -> list[Leg]:
    """Return the lines of a side that hold anything, without what was left empty in them."""
    if not isinstance(posted, QueryDict):
        return []
    columns = [[text.strip() for text in posted.getlist(f"{side}.{name}")] for name in FIELDS]
    lines = [dict(zip(FIELDS, line, strict=True)) for line in zip(*columns, strict=False)]
    return [leg for line in lines if (leg := {name: text for name, text in line.items() if text})]


def problems_in(field: LegsField, side: str, legs: list[Leg]) -> dict[str, LedgerError]:
    """Return what is wrong with each field of each line, or with the side as a whole."""
    if len(legs) > LINES_MAX:
        detail = f"a form takes {LINES_MAX} accounts a side; the API takes {LEGS_MAX}"
        return {side: InvalidField(detail, field=side)}
    found: dict[str, LedgerError] = {}
    for number, leg in enumerate(legs):
        for name in FIELDS:
            try:
                field.child.fields[name].run_validation(leg.get(name, empty))
            except LedgerError as error:
                found[f"{side}.{number}.{name}"] = error
    return found


def field_of(legs: list[Leg], side: str, error: LedgerError, name: str) -> str:
    """Return the field of the line whose account a refusal names, or nothing when it names none of them."""
    wanted = error.fields.get("account_id")
    return next((f"{side}.{number}.{name}" for number, leg in enumerate(legs) if leg.get("account_id") == wanted), "")


def lines_of(side: str, legs: list[Leg], problems: Mapping[str, LedgerError]) -> list[list[Cell]]:
    """Return a side's lines as its form shows them: those filled in, and an empty one to go on with."""
    number_shown = min(max(len(legs) + 1, LINES_MIN), max(LINES_MAX, len(legs)))
    return [
        [_cell(side, number, name, legs[number] if number < len(legs) else {}, problems) for name in FIELDS]
        for number in range(number_shown)
    ]


def _cell(side: str, number: int, name: str, leg: Leg, problems: Mapping[str, LedgerError]) -> Cell:
    key = f"{side}.{number}.{name}"
    label = f"{LABELS[side]} {number + 1}: {'amount' if name == 'amount' else 'account'}"
    return Cell(f"{side}.{name}", key, label, leg.get(name, ""), name == "amount", problems.get(key))
