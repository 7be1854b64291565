"""The portal shows everything to those with a role and changes nothing for anybody."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from knox.models import AuthToken

from auditor import access_log
from auditor.models import AccessLogEntry, Finding, Job
from chronicle.roles import Role
from tests.api_world import new_user
from tests.portal_world import MANAGED_APPS, first_key, page, read_only_models, signed_in, town

ROLES = [*Role, "superuser"]
# Not for the operator, whom they are about.
OVERSEEN = (AccessLogEntry, Finding, Job, LogEntry)
SHOWN = [model for model in read_only_models() if model not in OVERSEEN]
BUTTONS = re.compile(r'name="_save|name="_addanother|name="_continue|class="deletelink|/add/"|/delete/"')


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    """One ledger for all tests of this module: none of them can change it, which is the point."""
    town()


pytestmark = pytest.mark.usefixtures("_town", "database")


def browser_of(role: Role | str) -> Client:
    return signed_in(role) if isinstance(role, Role) else signed_in(is_superuser=True)


def named(model: type[Model]) -> str:
    return model._meta.label


@pytest.mark.parametrize("role", ROLES)
def test_every_list_and_every_row_opens_for_every_role(role: Role | str) -> None:
    browser = browser_of(role)
    for model in SHOWN:
        assert browser.get(page(model, "changelist")).status_code == 200, named(model)
        if (key := first_key(model)) is not None:
            answer = browser.get(page(model, "change", key))
            assert answer.status_code == 200, named(model)
            assert not BUTTONS.search(answer.content.decode()), named(model)


@pytest.mark.parametrize("role", ROLES)
def test_adding_changing_and_deleting_are_refused_at_their_addresses(role: Role | str) -> None:
    browser = browser_of(role)
    for model in read_only_models():
        key = first_key(model) or 1
        refused = {
            "add": browser.get(page(model, "add")),
            "add posted": browser.post(page(model, "add"), {}),
            "delete": browser.get(page(model, "delete", key)),
            "delete posted": browser.post(page(model, "delete", key), {"post": "yes"}),
            "change posted": browser.post(page(model, "change", key), {"_save": "Save"}),
            "list posted": browser.post(
                page(model, "changelist"), {"action": "delete_selected", "_selected_action": key}
            ),
        }
        if model in OVERSEEN and role == Role.OPERATOR:
            refused["list"] = browser.get(page(model, "changelist"))
        assert {what: answer.status_code for what, answer in refused.items()} == dict.fromkeys(refused, 403), named(
            model
        )


def test_whoever_has_no_role_is_shown_nothing() -> None:
    for browser in (signed_in(), Client()):
        for address in ("/admin/", "/admin/live/", page(SHOWN[0], "changelist")):
            answer = browser.get(address)
            assert answer.status_code == 302, address
            assert answer["Location"].startswith("/admin/login/")


def test_staff_of_another_group_do_not_come_in_by_permissions_of_djangos() -> None:
    user = new_user()
    user.is_staff = True
    user.save()
    from django.contrib.auth.models import Permission

    user.user_permissions.set(Permission.objects.all())
    browser = Client()
    browser.force_login(user)
    assert browser.get(page(SHOWN[0], "changelist")).status_code == 302


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_users_are_managed_by_administrators_only(role: Role) -> None:
    browser = signed_in(role)
    for model in (User, Group, AuthToken):
        assert browser.get(page(model, "changelist")).status_code == 403
    assert browser.get(page(User, "add")).status_code == 403
    front = browser.get("/admin/").content.decode()
    assert "/admin/auth/" not in front
    assert "/admin/knox/" not in front


def test_an_administrator_manages_users_but_makes_nobody_a_superuser() -> None:
    browser = signed_in(Role.ADMINISTRATOR)
    chief = User.objects.create_superuser(f"chief-{new_user().pk}", password="x")
    for model in (User, Group, AuthToken):
        assert browser.get(page(model, "changelist")).status_code == 200
    assert "is_superuser" not in browser.get(page(User, "change", new_user().pk)).context["adminform"].form.fields
    assert browser.post(page(User, "change", chief.pk), {"username": "mine"}).status_code == 403
    assert browser.post(f"/admin/auth/user/{chief.pk}/password/", {"password1": "y"}).status_code == 403
    assert browser.post(page(User, "delete", chief.pk), {"post": "yes"}).status_code == 403


def test_an_administrator_adds_a_user_by_what_the_page_asks_for() -> None:
    browser, name = signed_in(Role.ADMINISTRATOR), f"{new_user().username}-colleague"
    asked = browser.get(page(User, "add")).content.decode()
    typed = {"username": name, "password1": "fairly-long-9", "password2": "fairly-long-9"}
    answer = browser.post(
        page(User, "add"), {field: text for field, text in typed.items() if f'name="{field}"' in asked}
    )
    assert answer.status_code == 302, "the page does not ask for everything that it wants"
    assert answer["Location"] == page(User, "change", User.objects.get(username=name).pk)
    assert Client().login(username=name, password="fairly-long-9")


@pytest.mark.parametrize("bad", ["c32d5dbb-35f8-51e1-8b1d-e5dfba94d95e", "", "1\x00", "9" * 40])
def test_what_is_no_id_selects_nobody(bad: str) -> None:
    browser, before = signed_in(Role.ADMINISTRATOR), User.objects.count()
    chosen = {"post": "yes", "action": "delete_selected", "_selected_action": bad}
    assert browser.post(page(User, "changelist"), chosen).status_code in (302, 400)
    assert browser.get(page(User, "changelist"), {"q": f"{bad}\x00"}).status_code == 400
    assert User.objects.count() == before


def test_an_operator_does_not_see_whom_the_auditor_looks_at_nor_what_was_found() -> None:
    for model in OVERSEEN:
        assert signed_in(Role.OPERATOR).get(page(model, "changelist")).status_code == 403
        assert signed_in(Role.AUDITOR).get(page(model, "changelist")).status_code == 200


def test_whoever_has_left_a_trace_is_not_deleted_and_the_traces_are_not_listed_one_by_one() -> None:
    administrator, looker, changer, nobody = signed_in(Role.ADMINISTRATOR), new_user(), new_user(), new_user()
    for _ in range(3):
        access_log.record(looker, access_log.ACCOUNT, "an-account", "/here")
    LogEntry.objects.create(user=changer, object_repr="A role", action_flag=CHANGE)
    for user in (looker, changer):
        address = page(User, "delete", user.pk)
        shown = administrator.get(address).content.decode()
        assert "is on record: take the roles away, or make inactive" in shown
        assert "an-account" not in shown
        for form in ({"post": "yes"}, {"post": "yes", "action": "delete_selected", "_selected_action": str(user.pk)}):
            administrator.post(address if "action" not in form else page(User, "changelist"), form)
    assert User.objects.filter(pk__in=(looker.pk, changer.pk)).count() == 2
    assert administrator.post(page(User, "delete", nobody.pk), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=nobody.pk).exists()


def test_what_administrators_and_everybody_started_is_there_to_be_read() -> None:
    administrator, auditor, operator = (signed_in(role) for role in (Role.ADMINISTRATOR, Role.AUDITOR, Role.OPERATOR))
    user = new_user()
    given = {"username": user.username, "groups": Group.objects.get(name=Role.OPERATOR).pk, "is_active": "on"}
    assert administrator.post(page(User, "change", user.pk), given).status_code == 302
    (change,) = auditor.get(page(LogEntry, "changelist")).context["cl"].result_list[:1]
    assert (change.object_repr, change.get_change_message()) == (user.username, "Changed Groups.")
    assert "Changed Groups." in auditor.get(page(LogEntry, "change", change.pk)).content.decode()
    operator.post("/admin/exports/new/?list=projections.account&currency=USD", {"format": "csv"})
    shown = auditor.get(page(Job, "changelist"), {"kind": "export"}).content.decode()
    assert "Accounts where currency=USD, as csv" in shown
    assert "where currency=USD" not in auditor.get(page(Job, "changelist"), {"kind": "verify"}).content.decode()


def test_only_users_roles_and_tokens_are_registered_for_changing() -> None:
    changeable = {model for model in admin.site._registry if model._meta.app_label in MANAGED_APPS}
    assert changeable == {User, Group, AuthToken}
