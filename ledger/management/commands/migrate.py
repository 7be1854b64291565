"""`manage.py migrate`: Django's own, for all three databases, and with the event store's owner signed in.

The application's role can only insert and select, so the one command that makes tables signs in with
EVENT_STORE_OWNER_URL. Without `--database` every alias is migrated, each with its own apps.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import connections

from chronicle.routers import alias_for
from ledger.checks import migrating

EVENT_STORE = "event_store"


class Command(MigrateCommand):
    help = "Migrates all three databases, or the one named by --database."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: Any) -> Any:
        return {**super().get_check_kwargs(options), "databases": self._aliases(options)}

    def check(self, *args: Any, **options: Any) -> None:
        with migrating():
            super().check(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        for alias in self._aliases(options):
            if alias == EVENT_STORE:
                self._sign_in_as_owner()
            super().handle(*args, **{**options, "database": alias})
            connections[alias].close()

    @staticmethod
    def _aliases(options: dict[str, Any]) -> list[str]:
        if options["database"]:
            return [options["database"]]
        if options["app_label"]:
            return [alias_for(options["app_label"])]
        return list(settings.DATABASES)

    @staticmethod
    def _sign_in_as_owner() -> None:
        connection = connections[EVENT_STORE]
        connection.close()
        name = connection.settings_dict["NAME"]
        connection.settings_dict.update(settings.EVENT_STORE_OWNER)
        # A test run points the alias at a scratch database: keep that name.
        connection.settings_dict["NAME"] = name
