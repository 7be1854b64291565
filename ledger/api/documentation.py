"""The API's pages for people: the OpenAPI document made readable, and the list of error codes.

Scripts and styles come from drf_spectacular_sidecar, so nothing is loaded from another host. The page's own
initial script has an address of its own, which lets the content security policy stay without inline scripts.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views import View
from drf_spectacular.views import SpectacularSwaggerSplitView


class DocumentationView(SpectacularSwaggerSplitView):
    title = "Chronicle Ledger API"


class ErrorsView(View):
    """docs/errors.md as it is; a problem's `type` leads here."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        text = (settings.BASE_DIR / "docs" / "errors.md").read_text(encoding="utf-8")
        return HttpResponse(text, content_type="text/markdown; charset=utf-8")
