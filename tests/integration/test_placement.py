"""Each app's tables are on its alias and nowhere else; a check says so when one is not; migrating twice is harmless."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import connections, models

from chronicle import checks
from chronicle.routers import EventStoreRouter, ReadModelRouter, alias_for
from ledger.models import Event
from tests.servers import REPOSITORY, run_manage

pytestmark = pytest.mark.usefixtures("database")
# What CockroachDB refuses or only pretends to do: https://www.cockroachlabs.com/docs/stable/postgresql-compatibility
NOT_ON_COCKROACHDB = re.compile(
    r"\b(LISTEN|NOTIFY|LOCK TABLE|DEFERRABLE|pg_advisory|BIGSERIAL|SERIAL|CREATE EXTENSION|EXCLUDE USING|ctid|xmin)\b"
    # `int` is int8 there, and an array of int4 is refused for one of int8; hashes are text.
    r"|\bint(eger)?\[\]|\bsha256\(",
    re.I,
)


@pytest.mark.parametrize("alias", ["default", "event_store", "read_model"])
def test_an_alias_holds_its_own_tables_and_no_others(alias: str) -> None:
    present = set(connections[alias].introspection.table_names())
    for model in apps.get_models():
        is_here = alias_for(model._meta.app_label) == alias
        assert (model._meta.db_table in present) is is_here, model._meta.label


def test_the_checks_find_nothing_to_complain_of() -> None:
    found = run_checks(databases=["default", "event_store", "read_model"])
    assert [message for message in found if message.id and message.id.startswith("chronicle.")] == []


def test_a_router_that_misplaces_a_model_is_reported(settings: pytest.FixtureRequest) -> None:
    settings.DATABASE_ROUTERS = []  # type: ignore[attr-defined]
    found = checks.check_aliases([apps.get_app_config("ledger")])
    assert {message.id for message in found} == {"chronicle.E001"}
    assert "ledger.Event belongs on 'event_store'" in found[0].msg


def test_a_relation_across_two_databases_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    field = models.ForeignKey("auth.User", on_delete=models.DO_NOTHING, name="actor")
    field.related_model = apps.get_model("auth.User")  # type: ignore[misc]
    monkeypatch.setattr(Event._meta, "get_fields", lambda: [field])
    (found,) = checks.check_relations([apps.get_app_config("ledger")])[:1]
    assert found.id == "chronicle.E002"


def test_a_table_in_the_wrong_database_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"].introspection, "table_names", lambda: ["events", "auth_user"])
    found = checks.check_tables([apps.get_app_config("ledger")], databases=["default"])
    assert [message.id for message in found] == ["chronicle.E003"]
    assert "the table events of 'event_store' is in the database of 'default'" in found[0].msg


def test_routers_keep_relations_within_an_alias() -> None:
    user = apps.get_model("auth.User")
    account = apps.get_model("projections.Account")
    assert EventStoreRouter().allow_relation(Event, user) is False
    assert ReadModelRouter().allow_relation(account, Event) is False
    assert EventStoreRouter().allow_relation(Event, Event) is True
    assert EventStoreRouter().allow_relation(user, user) is None


def test_migrating_again_changes_nothing() -> None:
    assert run_manage("migrate", "--no-input").count("No migrations to apply") == 3


def test_the_event_stores_statements_avoid_what_cockroachdb_does_not_have() -> None:
    folders = ("ledger/store", "ledger/migrations", "ledger/verify", "ledger/evidence", "ledger/drill")
    files = [path for folder in folders for path in REPOSITORY.glob(f"{folder}/*.py")]
    assert len(files) > 40
    files.append(REPOSITORY / "auditor/sql.py")
    for path in files:
        # Comments and docstrings may name what is avoided; statements are what is in upper case.
        statements = re.findall(
            r'"""\s*((?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|WITH)\b.*?)"""', path.read_text(), re.S
        )
        for statement in statements:
            assert not NOT_ON_COCKROACHDB.search(statement), (path.name, statement)
