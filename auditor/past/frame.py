"""What every page of the portal's own has around it, and the two that say that there is nothing to show.

A page reads first and is rendered last, so a store that does not answer becomes a page that says so, not half of
one; what is not there is answered with 404 and a way on, never with an empty page that could be taken for a fact.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import django.db
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from auditor.pages import View, only, render
from auditor.permissions import may_read
from ledger.errors import StoreUnavailable


def part(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Return a piece of a page, for a script that puts it in place of the one before."""
    return TemplateResponse(request, template, context)


def not_found(request: HttpRequest, kind: str, subject_id: str, list_page: str) -> HttpResponse:
    """Say that there is no such thing, whose name it is told, and where those that exist are listed."""
    context = {"kind": kind, "subject_id": subject_id, "list_page": f"admin:{list_page}"}
    return render(request, "auditor/not_found.html", f"No such {kind}", status=404, **context)


def reads_the_stores(view: View) -> View:
    """Answer with a page that names the database when one does not answer."""

    @only(may_read)
    @wraps(view)
    def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
        try:
            return view(request, *arguments, **named)
        except StoreUnavailable:
            store = "event store"
        except django.db.OperationalError:
            store = "read model"
        return render(request, "auditor/unavailable.html", "Not now", status=503, store=store)

    return guarded
