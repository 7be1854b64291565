"""Which commands the portal has a form for, and the form's fields, taken from where the API takes them.

A command is one line in OFFERS. Its fields, and what is wrong with them, come from `ledger.api.submissions`, so
that the portal can ask for nothing that the API would not take, and refuses with the same codes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.fields import empty

from auditor.commands import legs
from chronicle.roles import Role
from ledger.api.commands import VIEWS
from ledger.api.fields import AmountField, CurrencyField, FlagField, InstantField
from ledger.api.submissions import FORMS, LegsField, submission_of
from ledger.domain.currencies import codes
from ledger.errors import LedgerError

# The icon of each; the order is that of the page.
OFFERS: Mapping[str, str] = {
    "deposit": "add_circle",
    "withdraw": "do_not_disturb_on",
    "transfer": "swap_horiz",
    "multi-transfer": "call_split",
    "exchange": "currency_exchange",
    "start-transfer": "move_up",
    "reverse": "undo",
    "place-hold": "lock_clock",
    "capture-hold": "price_check",
    "release-hold": "lock_open",
    "freeze-account": "ac_unit",
    "unfreeze-account": "sunny",
    "create-account": "person_add",
    "set-overdraft-limit": "vertical_align_bottom",
    "close-account": "cancel",
}
# Versions are for programs that decided on one; a person has the confirmation in between.
_LEFT_OUT = ("expected_version",)
_FOR_ADMINISTRATORS = ("force",)
_LABELS = {
    "account_id": "Account",
    "from_account_id": "From account",
    "to_account_id": "To account",
    "hold_id": "Hold",
    "sources": "From accounts",
    "targets": "To accounts",
    "force": "Force it",
}
# Which field a refusal is about, where the error itself does not name one. The first that the form has is taken.
_FIELDS_BY_CODE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("insufficient_funds", "invalid_amount", "amount_not_positive", "too_many_decimals", "amount_too_large",
         "hold_exceeded", "reversal_exceeded", "balance_too_large", "overdraft_in_use"),
        ("amount", "limit", "initial_balance"),
    ),
    **dict.fromkeys(("currency_mismatch", "same_account", "same_currency"), ("to_account_id",)),
    **dict.fromkeys(("hold_not_found", "hold_expired"), ("hold_id",)),
    **dict.fromkeys(("effective_at_in_future", "effective_before_opening"), ("effective_at",)),
    "expires_at_in_past": ("expires_at",),
    "unknown_currency": ("currency",),
    "account_exists": ("account_id",),
    **dict.fromkeys(
        ("original_not_found", "nothing_to_reverse", "reversal_of_reversal", "already_reversed"),
        ("event_id", "command_id"),
    ),
}  # fmt: skip

# A field's text, whether a flag is set, or the lines of a side.
Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a form. `problem` is what is wrong with what was given; `lines`: of a side with several accounts."""

    name: str
    label: str
    kind: str
    value: Any
    help: str
    is_required: bool
    problem: LedgerError | None
    lines: list[list[legs.Cell]]

    @property
    def options(self) -> list[str]:
        return codes() if self.kind == "currency" else []


def title_of(command_type: str) -> str:
    return command_type.replace("-", " ").capitalize()


def meaning_of(command_type: str) -> str:
    return VIEWS[command_type].__doc__ or ""


def given_by(command_type: str, posted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was filled in; a field left empty counts as left out."""
    sides = sides_of(command_type)
    filled: dict[str, Any] = {
        name: legs.given_in(posted, name) if name in sides else str(posted.get(name, "")).strip()
        for name in _names(command_type)
    }
    filled |= {name: bool(filled[name]) for name in flags_of(command_type)}
    return {name: value for name, value in filled.items() if value}


def sides_of(command_type: str) -> list[str]:
    """Return the fields of a command that are lists of accounts and amounts."""
    fields: Mapping[str, Any] = FORMS[command_type].serializer.fields
    return [name for name, field in fields.items() if isinstance(field, LegsField)]


def flags_of(command_type: str) -> list[str]:
    """Return the fields of a command that are set or not."""
    fields: Mapping[str, Any] = FORMS[command_type].serializer.fields
    return [name for name, field in fields.items() if isinstance(field, FlagField)]


def problems_of(command_type: str, given: Given, roles: Collection[Role]) -> dict[str, LedgerError]:
    """Return what is wrong with each field by itself; the API would answer with the first of them."""
    found: dict[str, LedgerError] = {}
    for name in _names(command_type):
        field = FORMS[command_type].serializer.fields[name]
        if name not in given and not field.required:
            continue
        if name in given and isinstance(field, LegsField) and (wrong := legs.problems_in(field, name, given[name])):
            found |= wrong
            continue
        try:
            field.run_validation(given.get(name, empty))
        except LedgerError as error:
            found[name] = error
    if found:
        return found
    try:
        submission_of(command_type, dict(given), actor="", idempotency_key=None, roles=roles)
    except LedgerError as error:  # of fields that do not go together, or that these roles may not use
        found[field_of(error, given, command_type)] = error
    return found


def field_of(error: LedgerError, given: Given, command_type: str) -> str:
    """Return the name of the field that a refusal is about, or nothing when it is about the whole."""
    names = _names(command_type)
    candidates = [str(error.fields.get("field", "")), *_FIELDS_BY_CODE.get(error.code, ())]
    # An account that is not there, is frozen or is closed: the field in which it was named.
    candidates += [name for name, text in given.items() if text == error.fields.get("account_id")]
    if found := next((name for name in candidates if name in names), ""):
        return found
    part = "amount" if "amount" in candidates else "account_id"
    return next(filter(None, (legs.field_of(given[side], side, error, part) for side in sides_of(command_type))), "")


def inputs(
    command_type: str, given: Given, problems: Mapping[str, LedgerError], roles: Collection[Role]
) -> list[Input]:
    """Return the fields of a form, without those that these roles may not use."""
    hidden = () if Role.ADMINISTRATOR in roles else _FOR_ADMINISTRATORS
    fields = FORMS[command_type].serializer.fields
    sides = sides_of(command_type)
    return [
        Input(name, label_of(name), _kind(fields[name]), given.get(name, ""), str(fields[name].help_text or ""),
              fields[name].required, problems.get(name),
              legs.lines_of(name, given.get(name, []), problems) if name in sides else [])
        for name in _names(command_type) if name not in hidden
    ]  # fmt: skip


def label_of(name: str) -> str:
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def _names(command_type: str) -> list[str]:
    fields: Mapping[str, Any] = FORMS[command_type].serializer.fields
    names = [name for name in fields if name not in _LEFT_OUT]
    if "to_amount" in names:  # beside what it is exchanged for, where the API adds it after all else
        names.remove("to_amount")
        names.insert(names.index("amount") + 1, "to_amount")
    return names


def _kind(field: Any) -> str:
    if isinstance(field, AmountField):
        return "amount"
    if isinstance(field, InstantField):
        return "instant"
    if isinstance(field, LegsField):
        return "legs"
    if isinstance(field, FlagField):
        return "flag"
    return "currency" if isinstance(field, CurrencyField) else "text"
