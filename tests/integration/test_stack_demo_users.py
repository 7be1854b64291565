"""The demo accounts: made once, kept while they work, repaired when they do not, and nobody else's touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from knox.auth import TokenAuthentication
from knox.models import AuthToken

from chronicle.roles import Role, create_groups, has_role, roles_of

pytestmark = pytest.mark.usefixtures("no_users")
ROLES = {"auditor": {Role.AUDITOR}, "operator": {Role.OPERATOR}, "admin": set(Role)}


@pytest.fixture
def no_users(database: None) -> None:
    User.objects.filter(username__in=ROLES).delete()


def create(path: Path, url: str = "http://127.0.0.1:8000") -> dict[str, Any]:
    call_command("create_demo_users", credentials=path, url=url)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "credentials.json"


def assert_all_work(credentials: dict[str, Any]) -> None:
    for username, roles in ROLES.items():
        entry = credentials[username]
        user = authenticate(username=entry["username"], password=entry["password"])
        assert isinstance(user, User)
        assert user.is_staff
        assert roles_of(user) == roles
        signed_in, token = TokenAuthentication().authenticate_credentials(entry["token"].encode())
        assert signed_in == user
        assert token.expiry is None


def test_each_role_gets_an_account_that_works(path: Path) -> None:
    credentials = create(path)
    assert credentials["url"] == "http://127.0.0.1:8000"
    assert_all_work(credentials)
    assert path.stat().st_mode & 0o777 == 0o600
    assert User.objects.get(username="admin").is_superuser
    assert not User.objects.get(username="auditor").is_superuser


def test_a_second_run_changes_nothing_but_the_address(path: Path) -> None:
    first = create(path)
    tokens = set(AuthToken.objects.values_list("digest", flat=True))
    second = create(path, url="http://127.0.0.1:9000")
    assert second == {**first, "url": "http://127.0.0.1:9000"}
    assert set(AuthToken.objects.values_list("digest", flat=True)) == tokens


def test_what_does_not_work_any_more_is_made_anew(path: Path) -> None:
    first = create(path)
    auditor = User.objects.get(username="auditor")
    auditor.set_password("changed by hand")
    auditor.save()
    AuthToken.objects.filter(user__username="operator").delete()
    User.objects.get(username="admin").delete()
    second = create(path)
    assert_all_work(second)
    assert second["auditor"]["password"] != first["auditor"]["password"]
    assert second["auditor"]["token"] == first["auditor"]["token"]
    assert second["operator"]["password"] == first["operator"]["password"]
    assert second["operator"]["token"] != first["operator"]["token"]


def test_without_the_file_old_tokens_stop_working(path: Path) -> None:
    first = create(path)
    path.unlink()
    second = create(path)
    assert_all_work(second)
    assert AuthToken.objects.filter(user__username__in=ROLES).count() == len(ROLES)
    assert second["auditor"]["token"] != first["auditor"]["token"]


def test_an_account_of_someone_else_is_left_as_it_is(path: Path) -> None:
    User.objects.create_user("admin", email="admin@example.org", password="hers")
    with pytest.raises(CommandError, match="admin exists and is not a demo account"):
        create(path)
    admin = authenticate(username="admin", password="hers")
    assert isinstance(admin, User)
    assert not admin.is_superuser
    assert not path.exists()


@pytest.mark.parametrize("content", [b"not json", b"[]", b"\xff", b'{"auditor": "me"}'])
def test_a_file_that_holds_no_credentials_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CommandError, match=r"credentials\.json"):
        create(path)


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(CommandError, match=r"credentials\.json cannot be read"):
        create(path)


def test_an_auditor_may_view_everything_and_change_nothing() -> None:
    auditor = create_groups()[Role.AUDITOR]
    names = set(auditor.permissions.values_list("codename", flat=True))
    assert names == set(Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True))
    assert names


def test_who_is_inactive_has_no_role(path: Path) -> None:
    create(path)
    auditor = User.objects.get(username="auditor")
    assert has_role(auditor, Role.AUDITOR, Role.OPERATOR)
    assert not has_role(auditor, Role.OPERATOR)
    auditor.is_active = False
    assert not has_role(auditor, Role.AUDITOR)
