"""What the portal's own pages share: the site around them, who may, and a refusal that says why.

A page is a function of a request; `PortalSite` wraps it so that only somebody with a role gets here at all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from auditor.admin.base import refuse_null_bytes

View = Callable[..., HttpResponseBase]
May = Callable[[HttpRequest], bool]


def render(request: HttpRequest, template: str, title: str, status: int = 200, **context: Any) -> TemplateResponse:
    """Return a page of the portal."""
    request.current_app = admin.site.name
    whole = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, whole, status=status)


def only(may: May) -> Callable[[View], View]:
    """Refuse a page to whoever may not see it, and a parameter that no text in PostgreSQL can hold."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not may(request):
                raise PermissionDenied
            for given in (request.GET, request.POST):
                refuse_null_bytes(*given.keys(), *(value for _, values in given.lists() for value in values))
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def text_of(request: HttpRequest, name: str, length_max: int = 200) -> str:
    """Return one query parameter, trimmed."""
    return request.GET.get(name, "").strip()[:length_max]
