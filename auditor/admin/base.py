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
    # The fields that hold the id of an account, an event or a transfer: a list narrowed to one is a look at that.
    account_fields: tuple[str, ...] = ()
    event_fields: tuple[str, ...] = ()
    transfer_fields: tuple[str, ...] = ()
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
        if name in led | {*self.exact_search, *self.narrowed_by, *self.subject_fields()}:
            return how in ("", "exact")
        return name not in {field.name for field in self.opts.get_fields()}

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.exact_search

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        found = self.possible(search_term)
        if len(found) > 1:
            # A number may be a position and an account: what it is not must not keep an index from what it is.
            everything = self.model._default_manager
            found = {name: value for name, value in found.items() if everything.filter(**{name: value}).exists()}
        if len(found) != 1:
            return queryset.filter(reduce(or_, (Q(**{name: value}) for name, value in found.items()), NOTHING)), False
        ((name, value),) = found.items()
        led = next((order for order in self.led_by if order[0].lstrip("-") == name), None)
        return led_to(queryset, led, value) if led else queryset.filter(**{name: value}), False

    def possible(self, search_term: str) -> dict[str, Any]:
        """Return the searched fields that can hold a term, each with what the term is there."""
        found: dict[str, Any] = {}
        for name in self.exact_search:
            try:
                found[name] = self.opts.get_field(name).to_python(search_term.strip())
            except ValidationError:
                continue  # the term is no uuid or no number, so this field cannot hold it
        return found

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

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> TemplateResponse:
        """Say with 404 that there is no such row. Django leads to the dashboard and asks whether it was deleted."""
        kind = str(self.opts.verbose_name)
        context = {"kind": kind, "subject_id": unquote(object_id), "list_page": self.list_page}
        return self.answer(request, "auditor/not_found.html", f"No such {kind}", status=404, **context)

    def answer(self, request: HttpRequest, template: str, title: str, status: int, **context: Any) -> TemplateResponse:
        """Return a page that is shown instead of a row or a list."""
        whole = {**self.admin_site.each_context(request), "title": title, **context}
        return TemplateResponse(request, template, whole, status=status)

    @property
    def list_page(self) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"

    def page_context(self, obj: Any) -> dict[str, Any]:
        return {"related": self.related(obj), "title": str(obj), "subtitle": None}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        refuse_null_bytes(*request.GET.keys(), *(value for _, values in request.GET.lists() for value in values))
        # A further page of a list goes on with the look that its first one was.
        record = access_log.record_once if AFTER in request.GET else access_log.record
        for kind, subject_id in self.subjects_of_list(request):
            record(request.user, kind, subject_id, request.get_full_path())
        try:
            # Django's scripts are for forms and for choosing rows, and would hold up what there is to be seen.
            return super().changelist_view(request, {**(extra_context or {}), "media": Media()})
        except CannotNarrow as error:
            # Django would show the whole list instead, as if all of it were what was asked for.
            title = str(self.opts.verbose_name_plural).capitalize()
            return self.answer(request, "auditor/problem.html", title, status=400, problem=f"{error}.", back="?")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list as it is narrowed. Raises: CannotNarrow."""
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            said = str(error.args[0]) if error.args and isinstance(error.args[0], str) else ""
            raise CannotNarrow(f"Not shown: {said.rstrip('.') or 'the list cannot be narrowed like that'}") from error
        except DisallowedModelAdminLookup as error:
            raise CannotNarrow("Not shown: no index leads to what the list is to be narrowed by") from error

    def subject_fields(self) -> dict[str, str]:
        """Return the fields that hold the id of something that can be looked at, each with the kind of that."""
        return {
            **dict.fromkeys(self.account_fields, access_log.ACCOUNT),
            **dict.fromkeys(self.event_fields, access_log.EVENT),
            **dict.fromkeys(self.transfer_fields, access_log.TRANSFER),
        }

    def subjects_of_list(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return kind and id of what a list is narrowed to, or of what is searched for in it and is there."""
        if not self.has_view_permission(request):
            return []
        fields = self.subject_fields()
        named = {name: request.GET.get(f"{name}__exact") or request.GET.get(name) for name in fields}
        found = [(fields[name], subject_id) for name, subject_id in named.items() if subject_id]
        if term := request.GET.get("q", "").strip():
            found += self.subjects_searched(term)
        return list(dict.fromkeys(found))

    def subjects_searched(self, term: str) -> list[tuple[str, str]]:
        """Return kind and id of what a search finds: one probe of an index for each field that can hold the term."""
        fields, found = self.subject_fields(), []
        for name, value in self.possible(term).items():
            if name not in fields and not self.opts.get_field(name).unique:
                continue
            # In no order: a planner would walk the table's own key for the first row, however far it is.
            row = next(iter(self.model._default_manager.filter(**{name: value}).order_by()[:1]), None)
            if row is not None:
                found.append((fields[name], str(value)) if name in fields else self.subject(row))
        return [subject for subject in found if subject]
