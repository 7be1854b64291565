"""An auditor is refused every write: at every address there is, by form and by API, whatever the method."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from chronicle.roles import Role
from ledger.api.submissions import FORMS
from tests.api_world import client_with, post, problem
from tests.ledger_world import new_account, table_sizes
from tests.portal_world import BAKERY, MILL, signed_in, town
from tests.servers import libpq

METHODS = ("post", "put", "patch", "delete")
# What an auditor leaves behind in the portal by being one: looks, a session, findings, verifications, exports.
OWN_TABLES = {"access_log", "django_session", "findings", "finding_changes", "jobs", "django_admin_log"}
SAMPLES = {
    "int": "1",
    "uuid": "00000000-0000-0000-0000-000000000001",
    "path": BAKERY,
    "slug": "deposit",
    "str": "accounts",
}
# Leaving, which would make every later request that of a stranger.
LEFT_OUT = re.compile("logout")
pytestmark = [pytest.mark.usefixtures("clean_stores"), pytest.mark.timeout(300)]


def addresses(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Yield an address for every pattern that is written as a route, and for the admin's own regular expressions."""
    for pattern in resolver.url_patterns:
        route = re.sub(r"<(?:(\w+):)?\w+>", lambda match: SAMPLES[match[1] or "str"], str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, prefix + route)
        elif isinstance(pattern, URLPattern) and not LEFT_OUT.search(route) and "(?P" not in route:
            yield prefix + route


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
    found = sorted(set(addresses(get_resolver())))
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


def test_every_command_of_the_api_is_refused_to_an_auditor_by_token_and_by_session() -> None:
    account = new_account(100)
    before = table_sizes()
    body = {"account_id": account, "amount": "1"}
    for client in (client_with(Role.AUDITOR), signed_in(Role.AUDITOR)):
        for command_type in (*FORMS, "batch"):
            problem(post(client, command_type, body), 403, "forbidden")
    assert post(Client(), "deposit", body).status_code == 401
    assert table_sizes() == before
