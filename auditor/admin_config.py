"""Makes the portal Django's default admin site, so that `admin.site` is it wherever a library asks."""

from django.contrib.admin.apps import AdminConfig


class PortalAdminConfig(AdminConfig):
    default_site = "auditor.site.PortalSite"
