"""What can be exported, by name: every list of the admin, the statement of an account, the live events.

A list is narrowed by the query string of its own page and by the code of its own page, so an export shows nothing
that the page would not.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.core.exceptions import FieldError, PermissionDenied, ValidationError
from django.db.models import Model
from django.http import HttpRequest, QueryDict

from auditor.admin.base import CannotNarrow, ReadOnlyAdmin
from auditor.admin.keyset import AFTER
from auditor.admin_config import register_lists
from auditor.exports import books, live, owner, reversals, statement
from auditor.exports.source import NoSuchList, Source, TableSource

# Where a page of the list began. The whole list is exported, not what comes after that.
_PAGE_PARAMETERS = (AFTER, "before")
# Lists that are no table of the admin, each with a page of its own.
_OWN = {module.LABEL: module for module in (statement, owner, reversals, live, books)}


def admin_lists() -> dict[str, str]:
    """Return the admin's lists: each one's label and its name for people."""
    return {model._meta.label_lower: str(model._meta.verbose_name_plural).capitalize() for model, _ in _shown()}


def names() -> dict[str, str]:
    """Return the name for people of everything that can be exported."""
    return {**admin_lists(), **{label: module.NAME for label, module in _OWN.items()}}


def open_source(request: HttpRequest, label: str, query: str) -> Source:
    """Return a list narrowed by its page's query string. Raises: NoSuchList, PermissionDenied."""
    given = _without_page(query)
    if label in _OWN:
        return _OWN[label].open_source(given)
    model_admin = _admin_of(label)
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    request.GET = given  # type: ignore[assignment]
    try:
        changelist = model_admin.get_changelist_instance(request)
    except (CannotNarrow, ValidationError, FieldError) as error:
        raise NoSuchList("the list cannot be narrowed like that") from error
    return TableSource(changelist.whole, changelist.keyset)


def subjects(request: HttpRequest, label: str, query: str) -> list[tuple[str, str]]:
    """Return kind and id of whom this export is a look at."""
    given = _without_page(query)
    if label in _OWN:
        return _OWN[label].subjects(given)
    request.GET = given  # type: ignore[assignment]
    return _admin_of(label).subjects_of_list(request)


def narrowed_by(query: str) -> Sequence[tuple[str, str]]:
    return [(name.replace("_", " "), str(value)) for name, value in _without_page(query).items() if value]


def _shown() -> list[tuple[type[Model], ReadOnlyAdmin]]:
    register_lists()  # in the process of a job nobody has asked for a page
    lists = admin.site._registry.items()
    return [(model, model_admin) for model, model_admin in lists if isinstance(model_admin, ReadOnlyAdmin)]


def _without_page(query: str) -> QueryDict:
    given = QueryDict(query, mutable=True)
    for name in _PAGE_PARAMETERS:
        given.pop(name, None)
    return given


def _admin_of(label: str) -> ReadOnlyAdmin:
    for model, model_admin in _shown():
        if model._meta.label_lower == label:
            return model_admin
    raise NoSuchList("there is no such list")
