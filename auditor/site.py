"""The portal: unfold's admin site with a page of its own, and open to nobody without a role."""

from __future__ import annotations

from typing import Any

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

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register models; also one with a key of several columns, which Django refuses, if its rows have no page."""
        models: list[Any] = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        pageless = [model for model in models if model._meta.is_composite_pk]
        if getattr(admin_class, "has_row_pages", True):
            pageless = []  # Django says what is wrong
        for model in pageless:
            self._registry[model] = admin_class(model, self)
        super().register([model for model in models if model not in pageless], admin_class, **options)

    def extra_urls(self) -> list[URLPattern]:
        from auditor.commands import views as commands
        from auditor.exports import views as exports
        from auditor.find import find
        from auditor.findings import views as findings
        from auditor.integrity import views as integrity
        from auditor.jobs import views as jobs
        from auditor.operations import views as operations
        from auditor.past.books import books
        from auditor.past.owner import owner
        from auditor.past.reversals import reversals
        from auditor.views import live

        return [
            path("live/", self.admin_view(live), name="live"),
            path("books/", self.admin_view(books), name="books"),
            path("find/", self.admin_view(find), name="find"),
            path("owner/", self.admin_view(owner), name="owner"),
            path("reversals/", self.admin_view(reversals), name="reversals"),
            *commands.urls(self.admin_view),
            *exports.urls(self.admin_view),
            *findings.urls(self.admin_view),
            *integrity.urls(self.admin_view),
            *jobs.urls(self.admin_view),
            *operations.urls(self.admin_view),
        ]
