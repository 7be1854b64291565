"""System checks on where models live: each app on its alias, no relation across two, no table in the wrong database.

`manage.py check` runs the first two; `check --database <alias>` and every `migrate` also look into the
database. A misplaced financial table would escape the role that keeps it append-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DataError, OperationalError, connections, router
from django.db.models import Model

from chronicle.routers import alias_for


@register(Tags.models)
def check_aliases(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every model reads, writes and migrates on the alias of its app."""
    problems: list[CheckMessage] = []
    for model in _models(app_configs):
        expected = alias_for(model._meta.app_label)
        used = {router.db_for_read(model), router.db_for_write(model)}
        used |= {alias for alias in connections if router.allow_migrate_model(alias, model)}
        if used != {expected}:
            hint = "See DATABASE_ROUTERS and chronicle.routers.ALIAS_BY_APP."
            detail = f"{model._meta.label} belongs on '{expected}', but is placed on {sorted(used)}."
            problems.append(Error(detail, hint=hint, obj=model, id="chronicle.E001"))
    return problems


@register(Tags.models)
def check_relations(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """No foreign key leads from one database into another: none could be enforced or joined."""
    problems: list[CheckMessage] = []
    for model in _models(app_configs):
        for field in model._meta.get_fields():
            target = field.related_model
            if not isinstance(target, type) or field.auto_created:
                continue
            here, there = alias_for(model._meta.app_label), alias_for(target._meta.app_label)
            if here != there:
                detail = f"{model._meta.label}.{field.name} leads from '{here}' to '{there}'."
                problems.append(Error(detail, hint="Store the id instead.", obj=model, id="chronicle.E002"))
    return problems


@register(Tags.database)
def check_tables(app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None,
                 **kwargs: Any) -> list[CheckMessage]:  # fmt: skip
    """No database holds a table of an app that belongs in another one."""
    problems: list[CheckMessage] = []
    for alias in databases or []:
        try:
            present = set(connections[alias].introspection.table_names())
        except (OperationalError, DataError):
            continue  # no server; or no role that a connection could take, which the first migration makes
        for model in _models(app_configs):
            expected = alias_for(model._meta.app_label)
            if expected != alias and model._meta.db_table in present:
                detail = f"the table {model._meta.db_table} of '{expected}' is in the database of '{alias}'."
                problems.append(Error(detail, hint="Two URLs may name one database.", obj=model, id="chronicle.E003"))
    return problems


def _models(app_configs: Sequence[AppConfig] | None) -> Iterable[type[Model]]:
    configs = apps.get_app_configs() if app_configs is None else app_configs
    return (model for config in configs for model in config.get_models())
