"""What every page about the ledger has in common: it shows, and it changes nothing.

The refusal does not rest on hidden buttons: add, change and delete are refused to everybody, superusers
included, at their addresses. Every look at one account, event or transfer is recorded first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.admin import ShowFacets
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db.models import Model, Q, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from auditor import access_log
from auditor.admin.keyset import AFTER, KeysetChangeList, KeysetPaginator, led_to
from auditor.permissions import may_read
from auditor.shortcuts import shortcuts

PER_PAGE = 50
NOTHING = Q(pk__in=[])


def refuse_null_bytes(*texts: str) -> None:
    """Refuse what no text in PostgreSQL can hold, before it is asked for. Answered with 400."""
    if any("\x00" in text for text in texts):
        raise SuspiciousOperation("a null byte is part of no name here")


class CannotNarrow(Exception):
    """A list is not narrowed like that; the sentence says why."""


class ReadOnlyAdmin(ModelAdmin):
    """Subclasses say `keyset` (the order, which an index has), `detail` (the page's sections) and columns."""

    keyset: tuple[str, ...] = ()
    # Indexes that lead to the rows of one account, one type, in the order in which they hold them: see `keyset.led_to`.
    led_by: tuple[tuple[str, ...], ...] = ()
    detail: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    # Fields that a search term is compared with, whole, each through an index.
    exact_search: tuple[str, ...] = ()
    # The fields that hold an account's id: a list narrowed to one is a look at that account.
    account_fields: tuple[str, ...] = ()
    # Further fields that links narrow a list to.
    narrowed_by: tuple[str, ...] = ()
    hint = ""
    # What a list without a row says: whether that is good, or what to do.
    empty = "Nothing here yet"
    finds_parts = False  # a search term need not be a whole id

    actions: tuple[str, ...] | None = None
    paginator = KeysetPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # they count
    list_per_page = PER_PAGE
    list_max_show_all = 0
    # Only the keyset's order has an index.
    sortable_by = ()
    list_filter_submit = True
    list_before_template = "auditor/list_hint.html"
    change_form_before_template = "auditor/related.html"
    compressed_fields = True

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_read(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return [(title, {"fields": rows}) for title, rows in self.detail]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Refuse to narrow by a field that no index leads to: it would be looked for in ten million rows."""
        name, _, how = lookup.partition("__")
        led = {order[0].lstrip("-") for order in self.led_by} | {
            getattr(f, "parameter_name", f) for f in self.list_filter
        }
        if name in led | {*self.exact_search, *self.account_fields, *self.narrowed_by}:
            return how in ("", "exact")
        return name not in {field.name for field in self.opts.get_fields()}

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.exact_search

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        found: dict[str, Any] = {}
        for name in self.exact_search:
            try:
                found[name] = self.opts.get_field(name).to_python(search_term.strip())
            except ValidationError:
                continue  # the term is no uuid or no number, so this field cannot hold it
        if len(found) > 1:
            # A number may be a position and an account: what it is not must not keep an index from what it is.
            everything = self.model._default_manager
            found = {name: value for name, value in found.items() if everything.filter(**{name: value}).exists()}
        if len(found) != 1:
            return queryset.filter(reduce(or_, (Q(**{name: value}) for name, value in found.items()), NOTHING)), False
        ((name, value),) = found.items()
        led = next((order for order in self.led_by if order[0].lstrip("-") == name), None)
        return led_to(queryset, led, value) if led else queryset.filter(**{name: value}), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def subject(self, obj: Any) -> tuple[str, str] | None:
        """Return kind and id of what a look at this row's page is a look at."""
        return None

    def related(self, obj: Any) -> list[Any]:
        """Return links to what belongs to this row."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        refuse_null_bytes(object_id)
        obj = self.get_object(request, object_id) if self.has_view_permission(request) else None
        if obj is not None and request.method == "GET":
            context = self.page_context(obj)
            if subject := self.subject(obj):
                access_log.record(request.user, *subject, request.get_full_path())
                context["related"] = [*context["related"], *shortcuts(request, *subject)]
            extra_context = {**(extra_context or {}), **context}
        return super().change_view(request, object_id, form_url, extra_context)

    def own_page(self, request: HttpRequest, object_id: str, view: Callable[..., HttpResponseBase]) -> HttpResponse:
        """Answer with a page of our own for one row; whoever may not see it, and whoever posts, is refused."""
        refuse_null_bytes(object_id)
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise PermissionDenied
        answer = view(request, unquote(object_id))
        assert isinstance(answer, HttpResponse), "a page about one row is not streamed"
        return answer

    def page_context(self, obj: Any) -> dict[str, Any]:
        return {"related": self.related(obj), "title": str(obj), "subtitle": None}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        refuse_null_bytes(*request.GET.keys(), *(value for _, values in request.GET.lists() for value in values))
        for kind, subject_id in self.subjects_of_list(request):
            access_log.record(request.user, kind, subject_id, request.get_full_path())
        try:
            # Django's scripts are for forms and for choosing rows, and would hold up what there is to be seen.
            return super().changelist_view(request, {**(extra_context or {}), "media": Media()})
        except CannotNarrow as error:
            # Django would show the whole list instead, as if all of it were what was asked for.
            title = str(self.opts.verbose_name_plural).capitalize()
            context = {**self.admin_site.each_context(request), "title": title, "problem": f"{error}.", "back": "?"}
            return TemplateResponse(request, "auditor/problem.html", context, status=400)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list as it is narrowed. Raises: CannotNarrow."""
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            said = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
            raise CannotNarrow(f"Not shown: {said.rstrip('.') or 'the list cannot be narrowed like that'}") from error
        except DisallowedModelAdminLookup as error:
            raise CannotNarrow("Not shown: no index leads to what the list is to be narrowed by") from error

    def subjects_of_list(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return the accounts a list is narrowed to; a further page of it is not a further look."""
        if AFTER in request.GET or not self.has_view_permission(request):
            return []
        named = [request.GET.get(f"{name}__exact") or request.GET.get(name) for name in self.account_fields]
        searched = request.GET.get("q", "").strip() if self.account_fields else ""
        return [(access_log.ACCOUNT, account_id) for account_id in (*named, searched) if account_id]
