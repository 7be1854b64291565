"""The portal: unfold's admin site with a page of its own, and open to nobody without a role."""

from __future__ import annotations

from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from auditor.permissions import may_read


class PortalSite(UnfoldAdminSite):
    index_title = "Dashboard"
    enable_nav_sidebar = True
    login_form: type[AdminAuthenticationForm] | None

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and may_read(request)

    def extra_urls(self) -> list[URLPattern]:
        from auditor.integrity import views as integrity
        from auditor.jobs import views as jobs
        from auditor.past.books import books
        from auditor.views import live

        return [
            path("live/", self.admin_view(live), name="live"),
            path("books/", self.admin_view(books), name="books"),
            *integrity.urls(self.admin_view),
            *jobs.urls(self.admin_view),
        ]
