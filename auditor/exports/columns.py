"""The columns of an export, taken from a list's model: every field it has, and money also as a decimal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Model

from ledger.domain.money import format_minor

MINOR = "_minor"


class Kind(StrEnum):
    """What a column holds: each format writes it in its own way."""

    INTEGER = "integer"
    DECIMAL = "decimal"  # of arbitrary length, as text
    BOOLEAN = "boolean"
    INSTANT = "instant"
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """`value` is given the row's values by name. `lookup` is what is read for it, or nothing for a derived one."""

    name: str
    kind: Kind
    value: Callable[[dict[str, Any]], Any]
    lookup: str = ""


def named(name: str, kind: Kind = Kind.TEXT) -> Column:
    """Return a column of what the row has under the same name."""
    return Column(name, kind, _plain(name))


def columns_of(model: type[Model], extra: tuple[str, ...] = ()) -> list[Column]:
    """Return a column for each field of a model. `extra`: whole numbers that its list adds to each row."""
    names = {field.name for field in model._meta.concrete_fields}
    columns = []
    for field in model._meta.concrete_fields:
        columns.append(_column(field))
        if field.name.endswith(MINOR) and "currency" in names:
            columns.append(_amount(field.name))
    return columns + [Column(name, Kind.INTEGER, _plain(name), name) for name in extra]


# What a row of these is called, where another row names one.
_NAME_OF = {settings.AUTH_USER_MODEL: "username", "contenttypes.ContentType": "model"}


def _column(field: Any) -> Column:
    if isinstance(field, models.ForeignKey):
        lookup = f"{field.name}__{_NAME_OF[field.related_model._meta.label]}"
        return Column(field.name, Kind.TEXT, _plain(lookup), lookup)
    name = field.name
    if isinstance(field, models.BinaryField):
        return Column(name, Kind.TEXT, lambda row: None if row[name] is None else bytes(row[name]).hex(), name)
    if isinstance(field, models.UUIDField):
        return Column(name, Kind.TEXT, lambda row: None if row[name] is None else str(row[name]), name)
    if isinstance(field, models.DateField) and not isinstance(field, models.DateTimeField):
        return Column(name, Kind.TEXT, lambda row: None if row[name] is None else row[name].isoformat(), name)
    if isinstance(field, models.GeneratedField):
        field = field.output_field
    for kind, classes in _CLASSES.items():
        if isinstance(field, classes):
            return Column(name, kind, _plain(name), name)
    return Column(name, Kind.TEXT, _plain(name), name)


_CLASSES: dict[Kind, tuple[type[models.Field], ...]] = {
    Kind.BOOLEAN: (models.BooleanField,),
    Kind.INTEGER: (models.IntegerField,),  # the base of all whole numbers
    Kind.DECIMAL: (models.DecimalField, models.FloatField),
    Kind.INSTANT: (models.DateTimeField,),
    Kind.JSON: (models.JSONField,),
}


def _plain(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: row[name]


def _amount(name: str) -> Column:
    def value(row: dict[str, Any]) -> str | None:
        # What moves no money has no currency: how many events of a type there were is counted too.
        is_known = row[name] is not None and row["currency"]
        return format_minor(int(row[name]), row["currency"]) if is_known else None

    return Column(name.removesuffix(MINOR), Kind.DECIMAL, value)


def utc(instant: datetime) -> datetime:
    """Check that an instant is one: without an offset it would be a guess."""
    assert instant.tzinfo is not None, "every instant here has an offset"
    return instant
