"""Who may do what over HTTP: tokens, sessions and the three roles. How fast a right is lost: test_api_believed.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from chronicle.roles import Role
from ledger.api import authentication
from tests.api_world import API, JSON, client_with, get, new_id, new_token, new_user, ok, open_account, post, problem
from tests.ledger_world import table_sizes

pytestmark = pytest.mark.usefixtures("database", "nobody_has_signed_in_yet")
PASSWORD = "correct horse battery staple"


@pytest.fixture
def nobody_has_signed_in_yet() -> None:
    cache.clear()  # where the throttles count
    authentication._sign_ins.clear()
    authentication._being_renewed.clear()


def opening() -> dict[str, str]:
    return {"account_id": new_id(), "owner_name": "Ada", "currency": "USD"}


def sign_in(client: Client, username: str, password: str) -> Any:
    return client.post(f"{API}/auth/token", {"username": username, "password": password}, content_type=JSON)


READS = ["accounts", "events", "transfers", "trial-balance", "currencies"]


@pytest.mark.parametrize("path", READS)
def test_whoever_does_not_sign_in_is_told_how(path: str) -> None:
    response = get(Client(), path)
    problem(response, 401, "not_signed_in")
    assert response["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("role", Role)
def test_every_role_reads_everything(role: Role, path: str) -> None:
    ok(get(client_with(role), path))


@pytest.mark.parametrize("path", READS)
def test_a_user_without_a_role_reads_nothing(path: str) -> None:
    problem(get(client_with(), path), 403, "forbidden")


@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 403), (Role.OPERATOR, 201), (Role.ADMINISTRATOR, 201)])
def test_an_auditor_changes_nothing(role: Role, status: int) -> None:
    before = table_sizes()
    response = post(client_with(role), "create-account", opening())
    assert response.status_code == status
    if status == 403:
        assert "operator or administrator" in problem(response, 403, "forbidden")["detail"]
        assert table_sizes() == before


def test_an_auditor_who_sends_nonsense_is_told_of_the_role_first() -> None:
    problem(post(client_with(Role.AUDITOR), "deposit", "nonsense"), 403, "forbidden")
    problem(post(Client(), "deposit", "nonsense"), 401, "not_signed_in")


@pytest.mark.parametrize("token", ["x", "0" * 64, "\xff", "a b c", "", "' OR 1=1", "0" * 10_000])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    response = Client(headers={"Authorization": f"Token {token}"}).get(f"{API}/accounts")
    problem(response, 401, "invalid_token")
    assert response["WWW-Authenticate"] == "Token"


def test_an_expired_token_is_refused() -> None:
    user = new_user(Role.AUDITOR)
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    AuthToken.objects.filter(user=user).update(expiry=timezone.now() - timedelta(seconds=1))
    problem(get(client, "accounts"), 401, "invalid_token")


def test_signing_in_gives_a_token_that_works_until_it_is_given_back() -> None:
    user = new_user(Role.AUDITOR, password=PASSWORD)
    answer = ok(sign_in(Client(), user.username, PASSWORD))
    assert answer["user"] == {"username": user.username, "roles": ["auditor"]}
    assert answer["expiry"] is not None
    client = Client(headers={"Authorization": f"Token {answer['token']}"})
    ok(get(client, "accounts"))
    assert client.delete(f"{API}/auth/token").status_code == 204
    problem(get(client, "accounts"), 401, "invalid_token")
    assert not AuthToken.objects.filter(user=user).exists()


def test_a_token_is_stored_as_a_hash() -> None:
    user = new_user(Role.AUDITOR, password=PASSWORD)
    token = ok(sign_in(Client(), user.username, PASSWORD))["token"]
    stored = AuthToken.objects.get(user=user)
    assert token not in (stored.digest, stored.token_key)


def test_an_old_token_does_not_keep_anybody_from_signing_in() -> None:
    user = new_user(Role.AUDITOR, password=PASSWORD)
    ok(sign_in(Client(headers={"Authorization": f"Token {'0' * 64}"}), user.username, PASSWORD))


def test_a_wrong_password_and_an_unknown_name_are_answered_alike() -> None:
    user = new_user(Role.AUDITOR, password=PASSWORD)
    wrong = problem(sign_in(Client(), user.username, "guess"), 401, "invalid_credentials")
    unknown = problem(sign_in(Client(), "nobody", "guess"), 401, "invalid_credentials")
    assert wrong == unknown


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "body_not_object"),
        ("{}", "missing_field"),
        ('{"username": "a", "password": 1}', "invalid_field"),
        ('{"username": "a\\u0000", "password": "b"}', "invalid_characters"),
        ('{"username": "a", "password": "b", "otp": "1"}', "unknown_field"),
    ],
)
def test_signing_in_takes_its_two_fields(body: str, code: str) -> None:
    problem(Client().post(f"{API}/auth/token", body, content_type=JSON), 400, code)


def test_guessing_is_slowed_down_for_the_guesser_alone() -> None:
    user = new_user(Role.AUDITOR, password=PASSWORD)
    for _ in range(20):
        problem(sign_in(Client(), user.username, "guess"), 401, "invalid_credentials")
    response = sign_in(Client(), user.username, PASSWORD)
    wait_s = problem(response, 429, "too_many_requests")["retry_after_s"]
    assert response["Retry-After"] == str(wait_s)
    assert 0 < wait_s <= 60
    # A header that anybody can write does not make another guesser of him.
    forged = Client(headers={"X-Forwarded-For": "10.9.8.7"})
    problem(sign_in(forged, user.username, PASSWORD), 429, "too_many_requests")
    ok(sign_in(Client(REMOTE_ADDR="127.0.0.2"), user.username, PASSWORD))


def signed_in(*roles: Role, is_csrf_checked: bool = True) -> Client:
    client = Client(enforce_csrf_checks=is_csrf_checked)
    client.force_login(new_user(*roles))
    return client


def test_a_session_reads() -> None:
    ok(get(signed_in(Role.AUDITOR), "accounts"))
    problem(get(signed_in(), "accounts"), 403, "forbidden")


def test_a_session_commands_only_with_its_csrf_token() -> None:
    client = signed_in(Role.OPERATOR)
    before = table_sizes()
    problem(post(client, "create-account", opening()), 403, "csrf_failed")
    assert table_sizes() == before
    token = "a" * 32
    client.cookies["csrftoken"] = token
    ok(post(client, "create-account", opening(), X_CSRFToken=token), 201)


def test_a_session_is_no_token_to_give_back() -> None:
    problem(signed_in(Role.AUDITOR, is_csrf_checked=False).delete(f"{API}/auth/token"), 401, "not_signed_in")


def test_a_superuser_has_every_role() -> None:
    user = new_user()
    user.is_superuser = True
    user.save()
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    open_account(client)
    ok(get(client, "accounts"))
