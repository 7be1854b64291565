"""Makes the portal Django's default admin site, so that `admin.site` is it wherever a library asks.

Its lists are registered by whoever shows them (auditor.urls, auditor.exports.catalogue) or checks them, not by every
command that Django starts: they bring in all of the portal.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register


class PortalAdminConfig(SimpleAdminConfig):
    default_site = "auditor.site.PortalSite"

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(check_lists, Tags.admin)


def register_lists() -> None:
    """Let `admin.site` know every list. A second call does nothing."""
    autodiscover()
    import_module("auditor.admin.every_list")


def check_lists(app_configs: Any, **options: Any) -> list[CheckMessage]:
    register_lists()
    return check_admin_app(app_configs, **options)
