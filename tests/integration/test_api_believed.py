"""For how long a token that was found good is believed, and how fast a lost right is lost: here at once, elsewhere soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.db.models import QuerySet
from django.test import Client
from knox.models import AuthToken

from chronicle.roles import Role
from ledger.api import authentication
from tests.api_world import API, client_with, get, new_id, new_token, new_user, ok, post, problem

pytestmark = pytest.mark.usefixtures("database", "nobody_is_believed_yet")


@pytest.fixture
def nobody_is_believed_yet() -> None:
    authentication._sign_ins.clear()
    authentication._being_renewed.clear()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Move the clock by which tokens are believed."""
    moved = {"by": 0.0}
    monkeypatch.setattr(authentication.time, "monotonic", lambda now=time.monotonic: now() + moved["by"])
    return lambda seconds: moved.update(by=moved["by"] + seconds)


def opening() -> dict[str, str]:
    return {"account_id": new_id(), "owner_name": "Ada", "currency": "USD"}


def test_a_token_found_good_costs_no_query_for_a_while(later: Any) -> None:
    client = client_with(Role.OPERATOR)
    ok(post(client, "create-account", opening()), 201)
    asked: list[str] = []
    original = authentication.KnoxAuthentication.authenticate_credentials

    def counted(self: Any, token: bytes) -> Any:
        asked.append("asked")
        return original(self, token)

    authentication.KnoxAuthentication.authenticate_credentials = counted
    try:
        ok(post(client, "create-account", opening()), 201)
        assert asked == []
        later(authentication.BELIEVED_S + 1)
        ok(post(client, "create-account", opening()), 201)
        assert asked == ["asked"]
    finally:
        authentication.KnoxAuthentication.authenticate_credentials = original


def test_of_calls_beside_one_another_one_asks_whether_a_token_is_still_good(
    later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_with(Role.OPERATOR)
    asked: list[str] = []
    original = authentication.KnoxAuthentication.authenticate_credentials

    def counted(self: Any, token: bytes) -> Any:
        asked.append("asked")
        beside = SimpleNamespace(META={"HTTP_AUTHORIZATION": f"Token {token.decode()}"})
        assert len(asked) == 1 or authentication.believed(beside) is not None
        if len(asked) == 2:
            raise OperationalError("the database does not answer")
        return original(self, token)

    monkeypatch.setattr(authentication.KnoxAuthentication, "authenticate_credentials", counted)
    ok(post(client, "create-account", opening()), 201)
    later(authentication.BELIEVED_S - authentication.RENEWED_S / 2)
    assert post(client, "create-account", opening()).status_code == 503
    for _ in range(3):
        ok(post(client, "create-account", opening()), 201)
    assert len(asked) == 3, "the one that failed, and the one after it"


Meddler = Callable[[Callable[[], Any]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meddler:
    """Have something happen once, between a token's being found good and its being remembered."""
    original = authentication.KnoxAuthentication.authenticate_credentials
    waiting: list[Callable[[], Any]] = []

    def interrupted(self: Any, token: bytes) -> Any:
        found = original(self, token)
        if waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(authentication.KnoxAuthentication, "authenticate_credentials", interrupted)
    return waiting.append


def test_a_token_given_back_while_another_call_asks_about_it_is_not_believed_again(meanwhile: Meddler) -> None:
    client = client_with(Role.AUDITOR)
    meanwhile(lambda: client.delete(f"{API}/auth/token"))
    get(client, "accounts")
    problem(get(client, "accounts"), 401, "invalid_token")


def test_a_token_is_believed_from_when_it_was_asked_about(later: Any, meanwhile: Meddler) -> None:
    user = new_user(Role.AUDITOR)
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    meanwhile(lambda: later(authentication.BELIEVED_S - authentication.RENEWED_S))  # the answer is a long time coming
    ok(get(client, "accounts"))
    elsewhere(AuthToken.objects.filter(user=user))
    later(authentication.RENEWED_S + 0.1)
    problem(get(client, "accounts"), 401, "invalid_token")


def elsewhere(tokens: QuerySet[AuthToken]) -> None:
    """Delete tokens as another process does: nobody is told."""
    tokens._raw_delete(tokens.db)


TAKEN_BACK: dict[str, tuple[Callable[[User], Any], int]] = {
    "token": (lambda user: AuthToken.objects.get(user=user).delete(), 401),
    "tokens": (lambda user: AuthToken.objects.filter(user=user).delete(), 401),
    "role": (lambda user: user.groups.clear(), 403),
    "role, from the other side": (lambda user: user.groups.get().user_set.remove(user), 403),
    "user": (lambda user: user.delete(), 401),
}


@pytest.mark.parametrize("what", TAKEN_BACK)
def test_what_this_process_takes_back_is_lost_at_once(what: str) -> None:
    take_back, status = TAKEN_BACK[what]
    user = new_user(Role.OPERATOR)
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    ok(post(client, "create-account", opening()), 201)
    take_back(user)
    assert post(client, "create-account", opening()).status_code == status


def test_a_user_whom_this_process_disables_is_out_at_once() -> None:
    user = new_user(Role.OPERATOR)
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    ok(get(client, "accounts"))
    user.is_active = False
    user.save()
    problem(get(client, "accounts"), 401, "invalid_token")


def test_a_revoked_token_and_a_lost_role_are_lost_within_seconds(later: Any) -> None:
    user = new_user(Role.OPERATOR)
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    ok(post(client, "create-account", opening()), 201)
    memberships = User.groups.through.objects.filter(user=user)
    memberships._raw_delete(memberships.db)
    later(authentication.BELIEVED_S + 1)
    problem(post(client, "create-account", opening()), 403, "forbidden")
    elsewhere(AuthToken.objects.filter(user=user))
    later(authentication.BELIEVED_S + 1)
    problem(post(client, "create-account", opening()), 401, "invalid_token")


def test_a_user_who_was_disabled_is_refused(later: Any) -> None:
    user = new_user(Role.OPERATOR)
    client = Client(headers={"Authorization": f"Token {new_token(user)}"})
    ok(get(client, "accounts"))
    User.objects.filter(pk=user.pk).update(is_active=False)  # without a signal, as if by another process
    later(authentication.BELIEVED_S + 1)
    problem(get(client, "accounts"), 401, "invalid_token")
