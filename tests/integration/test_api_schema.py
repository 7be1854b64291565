"""The OpenAPI document is valid, says what there is, and the running API keeps to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.asgi import get_asgi_application
from django.test import Client
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chronicle.roles import Role
from ledger.api import waiting
from ledger.api.submissions import FORMS
from projections.api import freshness
from tests.api_world import new_token, new_user, ok, open_account, post
from tests.clean import empty_everything
from tests.read_world import projector, relay, wait_until_applied
from tests.servers import Servers, run_manage

pytestmark = pytest.mark.usefixtures("database")


def no_failure_of_the_server(ctx: Any, response: Any, case: Any) -> None:
    """A 503 that says when to come again is an answer: nobody has what a random `min_position` asks for."""
    if response.status_code != 503 or "retry-after" not in response.headers:
        not_a_server_error(ctx, response, case)


CHECKS = [no_failure_of_the_server, status_code_conformance, content_type_conformance, response_schema_conformance]
CALLS = {
    "/api/v1/accounts": {"get"},
    "/api/v1/accounts/{account_id}": {"get"},
    "/api/v1/accounts/{account_id}/at": {"get"},
    "/api/v1/accounts/{account_id}/balance-at": {"get"},
    "/api/v1/accounts/{account_id}/transactions": {"get"},
    "/api/v1/auth/token": {"post", "delete"},
    "/api/v1/books": {"get"},
    "/api/v1/books/difference": {"get"},
    "/api/v1/commands/batch": {"post"},
    **{f"/api/v1/commands/{command_type}": {"post"} for command_type in FORMS},
    "/api/v1/currencies": {"get"},
    "/api/v1/events": {"get"},
    "/api/v1/events/{event_id}": {"get"},
    "/api/v1/refusals": {"get"},
    "/api/v1/search": {"get"},
    "/api/v1/transfers": {"get"},
    "/api/v1/transfers/{transfer_id}": {"get"},
    "/api/v1/trial-balance": {"get"},
}
OPERATIONS = sorted((path, method) for path, methods in CALLS.items() for method in methods)
# Enough to meet every kind of malformed value a few times; the tables of bad input are elsewhere.
EXAMPLES = 15


@pytest.fixture(scope="module")
def token(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock():
        yield new_token(new_user(Role.ADMINISTRATOR))


@pytest.fixture(scope="module")
def api(token: str) -> Any:
    return schemathesis.openapi.from_asgi("/api/schema/?format=json", get_asgi_application())


@pytest.fixture(scope="module")
def books(token: str, stack: Servers) -> Iterator[dict[str, str]]:
    """Something to find for every query."""
    client = Client(headers={"Authorization": f"Token {token}"})
    empty_everything(stack)
    with relay(), projector():
        source, target = open_account(client, "10"), open_account(client)
        moved = {"from_account_id": source, "to_account_id": target, "amount": "1", "description": "one"}
        answer = ok(post(client, "transfer", moved), 201)
        assert post(client, "withdraw", {"account_id": source, "amount": "99"}).status_code == 422
        wait_until_applied()
        yield {
            "account_id": source,
            "event_id": answer["event_id"],
            "transfer_id": answer["transfer_id"],
            "timestamp": answer["recorded_at"],
        }


def test_the_document_is_valid_and_complete() -> None:
    printed = run_manage("spectacular", "--validate", "--fail-on-warn")
    paths = yaml.safe_load(printed)["paths"]
    found = {path: set(operations) for path, operations in paths.items() if not path.endswith("/proof")}
    assert found == CALLS


def test_every_call_but_signing_in_says_which_sign_in_it_takes(api: Any) -> None:
    for path, method in OPERATIONS:
        security = api.raw_schema["paths"][path][method].get("security", [])
        names = {name for entry in security for name in entry}
        expected = {"/api/v1/auth/token": {"token"} if method == "delete" else set()}.get(path, {"token", "session"})
        assert names == expected, (path, method)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_whatever_is_sent_the_answer_is_one_of_those_described(
    api: Any, token: str, books: dict[str, str], path: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ASKED_WAIT_S", 0.05)
    monkeypatch.setattr(freshness, "ASKED_WAIT_S", 0.05)
    if path == "/api/v1/auth/token":
        pytest.skip("it revokes the token, or meets the limit on guessing")

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=api[path][method.upper()].as_strategy())
    def check(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Token {token}"}, checks=CHECKS)

    check()


@pytest.mark.parametrize("path", sorted(path for path, methods in CALLS.items() if "get" in methods))
def test_what_is_found_is_what_the_document_describes(api: Any, token: str, books: dict[str, str], path: str) -> None:
    names = re.findall(r"{(\w+)}", path)
    parameters = {
        "/api/v1/accounts/{account_id}/at": {"version": 1},
        "/api/v1/accounts/{account_id}/balance-at": {"timestamp": books["timestamp"]},
        "/api/v1/books/difference": {"from": "2026-01-01T00:00:00Z", "to": books["timestamp"]},
        "/api/v1/search": {"q": books["account_id"]},
    }.get(path, {})
    case = api[path]["GET"].Case(path_parameters={name: books[name] for name in names}, query=parameters)
    response = case.call(headers={"Authorization": f"Token {token}"})
    assert response.status_code == 200
    case.validate_response(response, checks=CHECKS)


def test_the_page_of_the_document_loads_nothing_from_elsewhere() -> None:
    response = Client().get("/api/docs/")
    page = response.text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) >= 4
    assert all(address.startswith("/") for address in addresses)
    assert "<script>" not in page
    for address in addresses:
        with closing(Client().get(address)) as asset:
            assert asset.status_code == 200, address
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert "'self'" in policy["script-src"]
    assert "'unsafe-inline'" not in policy["script-src"]
    assert not any(":" in source for source in policy["script-src"].split())


def test_a_problem_leads_to_the_list_of_codes() -> None:
    response = Client().get("/api/errors")
    assert response["Content-Type"].startswith("text/markdown")
    assert "insufficient_funds" in response.text
