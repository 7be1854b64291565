"""Every list of the admin, however narrowed, asks for one page and no more: no COUNT, no OFFSET, and an index for it.

The plans are those for a table too big to be read: with reading it whole and sorting it forbidden, PostgreSQL shows
whether an index could do without. Where the planner still reads or sorts everything, no index could.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import chain

import pytest
from django.contrib import admin
from django.db import connections, router
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.keyset import LOOKED_AT_MAX, LookedAtFilter
from chronicle.roles import Role
from tests.portal_world import BAKERY, page, read_only_models, signed_in, town

ALIASES = ("default", "event_store", "read_model")
MODELS = {model._meta.label: model for model in read_only_models()}
# A table with as many rows as there are projections, currencies, or events that went wrong.
SMALL = {"projections.Checkpoint", "projections.TrialBalance", "projections.ParkedEvent"}
# The commonest value is found on the way through the newest rows, and has no index of its own.
COMMONEST = {("status", "completed"), ("kind", "transfer")}
READS_EVERYTHING = re.compile(r"Seq Scan|\bSort\b|Incremental Sort")


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()


pytestmark = pytest.mark.usefixtures("_town", "database")


@pytest.fixture(scope="module")
def auditor(_town: None) -> Client:
    browser = signed_in(Role.AUDITOR)
    browser.post("/admin/findings/new/", {"kind": "account", "subject": BAKERY, "note": "A note", "state": "open"})
    return browser


def admin_of(model: type[Model]) -> ReadOnlyAdmin:
    model_admin = admin.site.get_model_admin(model)
    assert isinstance(model_admin, ReadOnlyAdmin)
    return model_admin


def asked(browser: Client, address: str, parameters: dict[str, str]) -> dict[str, list[str]]:
    """Return what a page asks of each database."""
    contexts = {alias: CaptureQueriesContext(connections[alias]) for alias in ALIASES}
    for context in contexts.values():
        context.__enter__()
    answer = browser.get(address, parameters)
    for context in contexts.values():
        context.__exit__(None, None, None)
    assert answer.status_code == 200, (address, parameters)
    assert answer.context["cl"].result_list is not None
    return {alias: [query["sql"] for query in context.captured_queries] for alias, context in contexts.items()}


@cache
def all_asked(browser: Client, label: str) -> list[tuple[dict[str, str], dict[str, list[str]]]]:
    """Return each way to ask for a list, and what is asked for it of each database. Nothing changes in this module."""
    model = MODELS[label]
    return [
        (parameters, asked(browser, page(model, "changelist"), parameters))
        for parameters in ways_to_ask(browser, model)
    ]


def filters_of(browser: Client, model: type[Model]) -> Iterator[dict[str, str]]:
    """Yield each value of each filter, as the page offers it."""
    changelist = browser.get(page(model, "changelist")).context["cl"]
    for spec in changelist.filter_specs:
        for value, _ in spec.lookup_choices:
            yield {spec.parameter_name: str(value)}


def ways_to_ask(browser: Client, model: type[Model]) -> Iterator[dict[str, str]]:
    """Yield the list as it is, its second page, each filter, and a search."""
    yield {}
    yield from filters_of(browser, model)
    key = [name.lstrip("-") for name in admin_of(model).keyset]
    row = model._default_manager.values_list(*key).first()  # type: ignore[attr-defined]
    if row is not None:
        texts = [value.isoformat() if hasattr(value, "isoformat") else str(value) for value in row]
        yield {"after": ",".join(texts)}
    if admin_of(model).exact_search:
        yield {"q": BAKERY}
        yield {"q": "1"}


@pytest.mark.parametrize("label", MODELS)
def test_no_list_counts_or_skips_however_it_is_narrowed(auditor: Client, label: str) -> None:
    model = MODELS[label]
    for parameters, by_database in all_asked(auditor, label):
        for statement in chain.from_iterable(by_database.values()):
            skipped = statement.replace(f"OFFSET {LOOKED_AT_MAX - 1}", "") if looks(model, parameters) else statement
            assert not re.search(r"\bCOUNT\(|\bOFFSET\b", skipped, re.IGNORECASE), (parameters, statement)
        lists = [sql for sql in by_database[router.db_for_read(model)] if is_list(sql, model)]
        assert lists or "q" in parameters, (parameters, "only a search may know that nothing can be found")
        end = r"\bLIMIT \d+( OFFSET \d+)?\s*$" if looks(model, parameters) else r"\bLIMIT \d+\s*$"
        assert all(re.search(end, sql) for sql in lists), (parameters, lists)


def looks(model: type[Model], parameters: dict[str, str]) -> bool:
    """Return whether a filter looks at each row: it skips to the end of what it looks at, and reads no further."""
    kinds = [
        kind for kind in admin_of(model).list_filter if isinstance(kind, type) and issubclass(kind, LookedAtFilter)
    ]
    return any(kind.parameter_name in parameters for kind in kinds)


def is_list(statement: str, model: type[Model]) -> bool:
    return statement.startswith("SELECT") and f'FROM "{model._meta.db_table}"' in statement and "ORDER BY" in statement


@pytest.mark.parametrize("label", sorted(MODELS.keys() - SMALL))
def test_an_index_leads_to_every_page_of_a_big_table(auditor: Client, label: str) -> None:
    model = MODELS[label]
    alias = router.db_for_read(model)
    skip_unless_postgresql(alias)
    for parameters, by_database in all_asked(auditor, label):
        if "q" in parameters:
            continue  # a search reads what it finds, and sorts that
        lists = [sql for sql in by_database[alias] if is_list(sql, model)]
        assert lists, parameters
        for statement in lists:
            plan = plan_of(alias, statement)
            assert not READS_EVERYTHING.search(plan), (parameters, plan)
            # A table of a few rows is read along its key whatever is asked; what would lead there must exist.
            is_led = "Filter:" not in plan or set(parameters.items()) & COMMONEST or "after" in parameters
            is_led = is_led or looks(model, parameters)
            assert is_led or has_index(alias, model, *parameters), (parameters, plan)


def has_index(alias: str, model: type[Model], column: str) -> bool:
    """Return whether an index begins with a column, or holds only the rows for which it is true."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [model._meta.db_table])
        found = [row[0] for row in cursor.fetchall()]
    return any(re.search(rf"\({column}\b|WHERE {column}$", definition) for definition in found)


@pytest.mark.parametrize("label", sorted(MODELS.keys() - SMALL))
def test_an_index_leads_to_what_is_searched(auditor: Client, label: str) -> None:
    model = MODELS[label]
    alias = router.db_for_read(model)
    skip_unless_postgresql(alias)
    for term in (BAKERY, "1"):
        for statement in asked(auditor, page(model, "changelist"), {"q": term})[alias]:
            if is_list(statement, model):
                assert "Seq Scan" not in plan_of(alias, statement), (term, statement)


def skip_unless_postgresql(alias: str) -> None:
    if connections[alias].vendor != "postgresql":
        pytest.skip("another database's plans look otherwise")


def plan_of(alias: str, statement: str) -> str:
    with connections[alias].cursor() as cursor:
        for name in ("enable_seqscan", "enable_sort", "enable_incremental_sort"):
            cursor.execute(f"SET {name} = off")
        try:
            cursor.execute(f"EXPLAIN {statement}")
            return "\n".join(row[0] for row in cursor.fetchall())
        finally:
            for name in ("enable_seqscan", "enable_sort", "enable_incremental_sort"):
                cursor.execute(f"RESET {name}")
