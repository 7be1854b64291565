"""What every page of the portal's own has around it, and the two that say that there is nothing to show.

A page reads first and is rendered last, so a store that does not answer becomes a page that says so, not half of
one; what is not there is answered with 404 and a way on, never with an empty page that could be taken for a fact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import django.db
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from auditor.admin.base import refuse_null_bytes
from ledger.errors import StoreUnavailable

View = Callable[..., HttpResponse]


def page(request: HttpRequest, template: str, title: str, status: int = 200, **context: Any) -> HttpResponse:
    """Return one of the portal's pages, with its frame."""
    request.current_app = admin.site.name  # type: ignore[attr-defined]
    return TemplateResponse(
        request, template, {**admin.site.each_context(request), "title": title, **context}, status=status
    )


def part(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Return a piece of a page, for a script that puts it in place of the one before."""
    return TemplateResponse(request, template, context)


def not_found(request: HttpRequest, kind: str, subject_id: str, list_page: str) -> HttpResponse:
    """Say that there is no such thing, whose name it is told, and where those that exist are listed."""
    context = {"kind": kind, "subject_id": subject_id, "list_page": f"admin:{list_page}"}
    return page(request, "auditor/not_found.html", f"No such {kind}", status=404, **context)


def reads_the_stores(view: View) -> View:
    """Answer with a page that names the database when one does not answer; refuse what none could be asked."""

    @wraps(view)
    def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
        refuse_null_bytes(*request.GET.keys(), *request.GET.values())
        try:
            return view(request, *arguments, **named)
        except StoreUnavailable:
            store = "event store"
        except django.db.OperationalError:
            store = "read model"
        return page(request, "auditor/unavailable.html", "Not now", status=503, store=store)

    return guarded
