"""An auditor is refused every write: at every address there is, by form and by API, whatever the method."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, product, zip_longest
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from auditor.commands.offers import OFFERS
from chronicle.roles import Role
from ledger.api.submissions import FORMS
from tests.api_world import client_with, post, problem
from tests.ledger_world import new_account, table_sizes
from tests.portal_world import BAKERY, MILL, first_key, signed_in, town
from tests.servers import libpq

METHODS = ("post", "put", "patch", "delete")
# What an auditor leaves behind in the portal by being one: looks, a session, findings, verifications, exports.
OWN_TABLES = {"access_log", "django_session", "findings", "finding_changes", "jobs", "django_admin_log"}
# What stands in an address for each kind of part; a command that is new comes in by itself.
SAMPLES = {
    "int": ("1",),
    "uuid": ("00000000-0000-0000-0000-000000000001",),
    "path": (BAKERY,),
    "slug": (*FORMS, "batch"),
    "str": ("accounts", BAKERY),
}
Keys = dict[str, Any]
PART = re.compile(r"<(?:(\w+):)?\w+>")
# Leaving, which would make every later request that of a stranger.
LEFT_OUT = re.compile("logout")
pytestmark = [pytest.mark.usefixtures("clean_stores"), pytest.mark.timeout(300)]


def addresses(resolver: URLResolver, keys: Keys, prefix: str = "/") -> Iterator[str]:
    """Yield addresses for every pattern that is written as a route; the admin's about one row are of a row there is."""
    for pattern in resolver.url_patterns:
        for route in filled_in(pattern, keys):
            if isinstance(pattern, URLResolver):
                yield from addresses(pattern, keys, prefix + route)
            elif isinstance(pattern, URLPattern) and not LEFT_OUT.search(route) and "(?P" not in route:
                yield prefix + route


def filled_in(pattern: URLPattern | URLResolver, keys: Keys) -> Iterator[str]:
    """Yield the routes that a pattern stands for."""
    text = str(pattern.pattern)
    kinds = [match[1] or "str" for match in PART.finditer(text)]
    key = keys.get(getattr(pattern, "name", None) or "")
    samples = [(quote(str(key)),) if kind == "path" and key is not None else SAMPLES[kind] for kind in kinds]
    for chosen in product(*samples):
        between = PART.split(text)[::2]  # its one group, the kind, comes in turn with what is around a part
        yield "".join(chain.from_iterable(zip_longest(between, chosen, fillvalue="")))


def keys_by_page() -> Keys:
    """Return the key of a row for each page of the admin that is about one: to change, to delete, with its history."""
    pages = ("change", "delete", "history")
    keys = {(model._meta.app_label, model._meta.model_name): first_key(model) for model in admin.site._registry}
    return {f"{app}_{name}_{page}": key for (app, name), key in keys.items() for page in pages}


def contents() -> dict[str, Any]:
    """Return what is stored: the event store's sizes, and a sum over every row of the other two databases."""
    found: dict[str, Any] = dict(table_sizes())
    for url in (settings.READ_MODEL_URL, settings.DATABASE_URL):
        with psycopg.connect(libpq(url)) as connection:
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (name,) in names:
                if name not in OWN_TABLES:
                    row = connection.execute(
                        f"SELECT count(*), sum(hashtext(t::text)::bigint) FROM {name} t"
                    ).fetchone()  # type: ignore[call-overload]
                    found[name] = row
    return found


def test_no_address_changes_anything_but_what_is_the_auditors_own() -> None:
    town()
    browser = signed_in(Role.AUDITOR)
    found = sorted(set(addresses(get_resolver(), keys_by_page())))
    for named in ("/admin/commands/deposit/confirm/", "/admin/operations/rebuild/accounts/", "/api/v1/commands/batch"):
        assert named in found, "the walk comes by what it is about"
    form = {"account_id": BAKERY, "from_account_id": BAKERY, "to_account_id": MILL, "amount": "1", "post": "yes",
            "action": "retry_parked", "_selected_action": "1", "username": "mine", "name": "mine"}  # fmt: skip
    before = contents()
    for address in found:
        for method in METHODS:
            answer = getattr(browser, method)(address, form) if method == "post" else getattr(browser, method)(address)
            assert answer.status_code < 500, (method, address)
    assert contents() == before


def test_the_walk_goes_to_every_command_and_to_rows_there_are() -> None:
    town()
    found = set(addresses(get_resolver(), keys_by_page()))
    assert {f"/admin/commands/{command_type}/confirm/" for command_type in OFFERS} <= found
    assert {f"/api/v1/commands/{command_type}" for command_type in FORMS} <= found
    assert f"/admin/projections/account/{BAKERY}/delete/" in found
    # What is added to the portal's site is walked, whoever adds it: none of its routes hides behind a bare pattern.
    own = [pattern for pattern in admin.site.extra_urls() if str(pattern.pattern)]  # type: ignore[attr-defined]
    assert own
    for pattern in own:
        assert all(f"/admin/{route}" in found for route in filled_in(pattern, {}))


def test_every_command_of_the_api_is_refused_to_an_auditor_by_token_and_by_session() -> None:
    account = new_account(100)
    before = table_sizes()
    body = {"account_id": account, "amount": "1"}
    for client in (client_with(Role.AUDITOR), signed_in(Role.AUDITOR)):
        for command_type in (*FORMS, "batch"):
            problem(post(client, command_type, body), 403, "forbidden")
    assert post(Client(), "deposit", body).status_code == 401
    assert table_sizes() == before
