"""Which commands the portal has a form for, and the form's fields, taken from where the API takes them.

A command is one line in OFFERS. Its fields, and what is wrong with them, come from `ledger.api.submissions`, so
that the portal can ask for nothing that the API would not take, and refuses with the same codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rest_framework.fields import empty

from ledger.api.commands import VIEWS
from ledger.api.fields import AmountField, CurrencyField, InstantField
from ledger.api.submissions import FORMS
from ledger.domain.currencies import codes
from ledger.errors import LedgerError

# The icon of each; the order is that of the page.
OFFERS: Mapping[str, str] = {
    "deposit": "add_circle",
    "withdraw": "do_not_disturb_on",
    "transfer": "swap_horiz",
    "exchange": "currency_exchange",
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
_LABELS = {"account_id": "Account", "from_account_id": "From account", "to_account_id": "To account", "hold_id": "Hold"}
# Which field a refusal is about, where the error itself does not name one. The first that the form has is taken.
_FIELDS_BY_CODE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("insufficient_funds", "invalid_amount", "amount_not_positive", "too_many_decimals", "amount_too_large",
         "hold_exceeded", "balance_too_large", "overdraft_in_use"),
        ("amount", "limit", "initial_balance"),
    ),
    **dict.fromkeys(("currency_mismatch", "same_account", "same_currency"), ("to_account_id",)),
    **dict.fromkeys(("hold_not_found", "hold_expired"), ("hold_id",)),
    **dict.fromkeys(("effective_at_in_future", "effective_before_opening"), ("effective_at",)),
    "expires_at_in_past": ("expires_at",),
    "unknown_currency": ("currency",),
    "account_exists": ("account_id",),
}  # fmt: skip

Given = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a form. `problem` is what is wrong with what was given."""

    name: str
    label: str
    kind: str
    value: str
    help: str
    is_required: bool
    problem: LedgerError | None

    @property
    def options(self) -> list[str]:
        return codes() if self.kind == "currency" else []


def title_of(command_type: str) -> str:
    return command_type.replace("-", " ").capitalize()


def meaning_of(command_type: str) -> str:
    return VIEWS[command_type].__doc__ or ""


def given_by(command_type: str, posted: Mapping[str, Any]) -> dict[str, str]:
    """Return what was filled in; a field left empty counts as left out."""
    texts = {name: str(posted.get(name, "")).strip() for name in _names(command_type)}
    return {name: text for name, text in texts.items() if text}


def problems_of(command_type: str, given: Given) -> dict[str, LedgerError]:
    """Return what is wrong with each field by itself; the API would answer with the first of them."""
    found = {}
    for name in _names(command_type):
        field = FORMS[command_type].serializer.fields[name]
        if name not in given and not field.required:
            continue
        try:
            field.run_validation(given.get(name, empty))
        except LedgerError as error:
            found[name] = error
    return found


def field_of(error: LedgerError, given: Given, command_type: str) -> str:
    """Return the name of the field that a refusal is about, or nothing when it is about the whole."""
    names = _names(command_type)
    candidates = [str(error.fields.get("field", "")), *_FIELDS_BY_CODE.get(error.code, ())]
    # An account that is not there, is frozen or is closed: the field in which it was named.
    candidates += [name for name, text in given.items() if text == error.fields.get("account_id")]
    return next((name for name in candidates if name in names), "")


def inputs(command_type: str, given: Given, problems: Mapping[str, LedgerError]) -> list[Input]:
    fields = FORMS[command_type].serializer.fields
    return [
        Input(name, label_of(name), _kind(fields[name]), given.get(name, ""), str(fields[name].help_text or ""),
              fields[name].required, problems.get(name))
        for name in _names(command_type)
    ]  # fmt: skip


def label_of(name: str) -> str:
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def _names(command_type: str) -> list[str]:
    fields: Mapping[str, Any] = FORMS[command_type].serializer.fields
    return [name for name in fields if name not in _LEFT_OUT]


def _kind(field: Any) -> str:
    if isinstance(field, AmountField):
        return "amount"
    if isinstance(field, InstantField):
        return "instant"
    return "currency" if isinstance(field, CurrencyField) else "text"
