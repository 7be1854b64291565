from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_migrate


class AuditorConfig(AppConfig):
    name = "auditor"
    verbose_name = "Oversight"
    default = True

    def ready(self) -> None:
        # The last app of all: when it is migrated, every model has its permissions.
        post_migrate.connect(_make_roles, sender=self, dispatch_uid="roles")


def _make_roles(using: str, **signal_arguments: object) -> None:
    from chronicle.roles import create_groups

    if using == DEFAULT_DB_ALIAS:
        create_groups()
