"""Places each app on its database. No relation crosses an alias; `checks.py` says so when a model would.

The event store is CockroachDB (or PostgreSQL), the read model is PostgreSQL and disposable, and everything
that Django itself brings (users, sessions, the admin's log) is the portal's own.
"""

from __future__ import annotations

from typing import Any

ALIAS_BY_APP = {"ledger": "event_store", "projections": "read_model"}
PORTAL_ALIAS = "default"


def alias_for(app_label: str) -> str:
    return ALIAS_BY_APP.get(app_label, PORTAL_ALIAS)


class AppRouter:
    """Sends one app's models to one alias and keeps every other model out of it."""

    app_label: str

    @property
    def alias(self) -> str:
        return alias_for(self.app_label)

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.alias if model._meta.app_label == self.app_label else None

    db_for_write = db_for_read

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool | None:
        labels = {first._meta.app_label, second._meta.app_label}
        if self.app_label not in labels:
            return None
        return labels == {self.app_label}

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if db == self.alias or app_label == self.app_label:
            return db == self.alias and app_label == self.app_label
        return None


class EventStoreRouter(AppRouter):
    app_label = "ledger"


class ReadModelRouter(AppRouter):
    app_label = "projections"
