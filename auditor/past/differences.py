"""What changed between two states, field by field: every field, those that stayed the same included.

A hold is a field of its own, so that one placed or released is seen as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from auditor.admin.formats import NOTHING, money
from auditor.past import instants
from ledger.domain.account import Account
from ledger.domain.instants import parse_instant

MINOR, AT = "_minor", "_at"
_ORDER = tuple(field.name for field in fields(Account))


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """`before` and `after` are as a page shows them; what was not there is a dash."""

    name: str
    before: Any
    after: Any
    is_changed: bool


def field_differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[FieldDifference]:
    """Return every field that either state has, in the order in which the domain names them."""
    old, new = _flat(_ordered(before or {})), _flat(_ordered(after or {}))
    currency = (after or before or {}).get("currency", "")
    return [
        FieldDifference(
            name=_label(name),
            before=_shown(name, old[name], currency) if name in old else NOTHING,
            after=_shown(name, new[name], currency) if name in new else NOTHING,
            is_changed=(name in old) != (name in new) or old.get(name) != new.get(name),
        )
        for name in dict.fromkeys((*old, *new))
    ]


def _ordered(state: Mapping[str, Any]) -> dict[str, Any]:
    """A stored state comes back in no order of its own."""
    return {name: state[name] for name in (*_ORDER, *state) if name in state}


def _flat(state: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{name} › "))
        else:
            found[prefix + name] = value
    return found


def _label(name: str) -> str:
    return name.removesuffix(MINOR).replace("_", " ")


def _shown(name: str, value: Any, currency: str) -> Any:
    if value is None:
        return NOTHING
    if name.endswith(AT):
        return instants.in_words(parse_instant(value))
    return money(value, currency) if name.endswith(MINOR) else str(value)
