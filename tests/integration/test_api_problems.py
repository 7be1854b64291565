"""Every failure is a problem, whoever notices it: Django, REST framework, the ledger, or nobody in time."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.test import Client

from chronicle.roles import Role
from ledger.api import commands
from ledger.engine import batching
from ledger.engine.submission import Rejected
from ledger.errors import Busy, Overloaded, StoreUnavailable
from tests.api_world import API, client_with, get, ok, open_account, post, problem

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize(
    "path", ["/api/v1/nope", "/api/v1/commands/nope", "/api/nope", "/api/v1/", "/api/v1/accounts//x"]
)
def test_an_unknown_address_under_api_is_a_problem(operator: Client, path: str) -> None:
    problem(operator.get(path), 404, "not_found")


def test_an_unknown_address_elsewhere_is_a_page() -> None:
    response = Client().get("/nope")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_a_method_the_call_does_not_have_is_named_with_those_it_has(operator: Client) -> None:
    response = operator.get(f"{API}/commands/deposit")
    problem(response, 405, "method_not_allowed")
    assert response["Allow"] == "POST, OPTIONS"
    problem(operator.put(f"{API}/accounts"), 405, "method_not_allowed")


def test_a_head_request_is_a_get_without_its_body(operator: Client) -> None:
    response = operator.head(f"{API}/currencies")
    assert response.status_code == 200
    assert response.content == b""


def test_options_are_answered(operator: Client) -> None:
    assert operator.options(f"{API}/currencies").status_code == 200


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "*/*"])
def test_json_is_answered_whatever_is_accepted(operator: Client, accept: str) -> None:
    response = operator.get(f"{API}/currencies", headers={"Accept": accept})
    assert response["Content-Type"] == "application/json"


def test_a_defect_is_a_problem_without_a_traceback(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(commands, "submission_of", fail)
    response = post(operator, "deposit", {})
    problem(response, 500, "internal_error")
    assert b"secret" not in response.content
    assert b"Traceback" not in response.content


def test_a_defect_in_the_engine_is_its_callers_alone(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = open_account(operator)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(batching, "execute", fail)
        patch.setattr(batching, "execute_in_loop", fail)
        problem(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 500, "internal_error")
    ok(post(operator, "deposit", {"account_id": account_id, "amount": "1"}), 201)


@pytest.mark.parametrize("error", [Busy("b"), Overloaded("o"), StoreUnavailable("s")], ids=lambda error: error.code)
def test_what_may_work_later_says_when(operator: Client, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    async def fail(_: Any) -> Rejected:
        return Rejected(error)

    monkeypatch.setattr(batching, "submit", fail)
    response = post(operator, "deposit", {"account_id": "a", "amount": "1"})
    problem(response, 503, error.code)
    assert response["Retry-After"] == "1"


def test_a_host_that_is_not_ours_is_a_problem(operator: Client) -> None:
    problem(operator.get(f"{API}/accounts", headers={"Host": "evil.example"}), 400, "malformed")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("events", {"limit": "0"}),
        ("events", {"limit": "1001"}),
        ("events", {"limit": "-1"}),
        ("events", {"limit": "1.5"}),
        ("events", {"limit": "9" * 5_000}),
        ("events", {"limit": "²"}),
        ("events", {"after": "first"}),
        ("events", {"after": str(2**63)}),
        ("events", {"aggregate_id": "a\x00"}),
        ("events", {"event_type": "x" * 201}),
        ("accounts", {"status": "happy"}),
        ("accounts", {"search": "\x00"}),
        ("accounts", {"after": "\x00"}),
        ("transfers", {"after": "x"}),
    ],
)
def test_a_parameter_that_is_not_of_its_form_is_named(operator: Client, path: str, parameters: dict[str, str]) -> None:
    refused = problem(get(operator, path, **parameters), 400, "invalid_parameter")
    assert refused["parameter"] == next(iter(parameters))


def test_every_problem_can_be_written_whatever_was_sent(operator: Client) -> None:
    element = '{"type": "deposit", "\\ud800": 1}'
    assert problem(post(operator, "deposit", element.replace("type", "\\ud800")), 400, "duplicate_key")
    assert problem(post(operator, "deposit", '{"\\ud800": 1}'), 400, "unknown_field")["field"] == "\\ud800"
    (outcome,) = ok(post(operator, "batch", f'{{"commands": [{element}]}}'))["outcomes"]
    assert outcome["field"] == "\\ud800"


def test_a_defect_is_logged_without_the_values_it_was_met_with(
    operator: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(submission: Any) -> None:
        raise ZeroDivisionError("a defect")

    body = {"account_id": open_account(operator), "amount": "1", "description": "a word to be forgotten"}
    monkeypatch.setattr(batching, "submit", fail)
    problem(post(operator, "deposit", body), 500, "internal_error")
    written = "".join(capsys.readouterr())
    assert "ZeroDivisionError: a defect" in written
    assert "a word to be forgotten" not in written


@pytest.mark.parametrize("key", ['"a\\000bcdefghij"', "é" * 32, "x" * 4_000])
def test_a_session_cookie_that_nobody_was_given_is_nobodys(key: str) -> None:
    problem(Client(headers={"Cookie": f"sessionid={key}"}).get(f"{API}/accounts"), 401, "not_signed_in")


@pytest.mark.parametrize("alias", ["default", "read_model"])
def test_a_database_that_is_away_is_no_defect(monkeypatch: pytest.MonkeyPatch, alias: str) -> None:
    caller = client_with(Role.AUDITOR)  # whose token nobody has asked for yet
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    with connections[alias].cursor() as cursor:
        cursor.execute(others, [connections[alias].settings_dict["NAME"]])
    monkeypatch.setitem(connections[alias].settings_dict, "NAME", "nowhere")
    response = caller.get(f"{API}/accounts")
    problem(response, 503, "database_unavailable")
    assert response["Retry-After"] == "1"
