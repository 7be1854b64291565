"""What is given replaces its embedded part, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from chronicle.stack import secret
from chronicle.stack.data_folder import DataFolder
from chronicle.stack.errors import StackError
from chronicle.stack.given import check_nats
from chronicle.stack.plan import UsageError, check_forms, make_plan, read_demo, read_port

GIVEN = {
    "DATABASE_URL": "postgresql://a@db/portal",
    "EVENT_STORE_URL": "cockroachdb://b@crdb:26257/events",
    "READ_MODEL_URL": "postgresql://c@db/reads",
    "NATS_URL": "nats://broker:4222",
}


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(str(tmp_path / "data"))


def test_with_nothing_given_everything_is_embedded(folder: DataFolder) -> None:
    plan = make_plan(folder, {})
    assert plan.postgres is not None
    assert plan.nats is not None
    assert plan.variables["DATABASE_URL"] == plan.postgres.url("portal")
    assert plan.variables["READ_MODEL_URL"] == plan.postgres.url("read_model")
    assert plan.variables["EVENT_STORE_URL"] == plan.postgres.url("event_store", "chronicle_app")
    assert plan.variables["EVENT_STORE_OWNER_URL"] == plan.postgres.url("event_store")
    assert plan.variables["NATS_URL"] == plan.nats.url


def test_with_everything_given_nothing_is_embedded(folder: DataFolder) -> None:
    plan = make_plan(folder, GIVEN)
    assert (plan.postgres, plan.nats) == (None, None)
    assert {name: plan.variables[name] for name in GIVEN} == GIVEN
    assert plan.variables["EVENT_STORE_OWNER_URL"] == GIVEN["EVENT_STORE_URL"]


@pytest.mark.parametrize("variable", sorted(GIVEN))
def test_one_that_is_given_replaces_its_own_part_only(folder: DataFolder, variable: str) -> None:
    embedded = make_plan(folder, {}).variables
    plan = make_plan(folder, {variable: GIVEN[variable]})
    changed = {name for name, value in plan.variables.items() if value != embedded[name]}
    assert changed == {variable} | ({"EVENT_STORE_OWNER_URL"} if variable == "EVENT_STORE_URL" else set())
    assert (plan.nats is None) == (variable == "NATS_URL")
    assert plan.postgres is not None


def test_an_owner_that_is_given_is_used_for_migrating(folder: DataFolder) -> None:
    plan = make_plan(folder, {**GIVEN, "EVENT_STORE_OWNER_URL": "cockroachdb://root@crdb:26257/events"})
    assert plan.variables["EVENT_STORE_OWNER_URL"] == "cockroachdb://root@crdb:26257/events"


def test_the_application_signs_in_as_the_role_that_was_chosen(folder: DataFolder) -> None:
    plan = make_plan(folder, {"EVENT_STORE_ROLE": "teller"})
    assert plan.role == "teller"
    assert plan.variables["EVENT_STORE_URL"].startswith("postgresql://teller@")


def test_the_secret_key_is_made_once_and_private(folder: DataFolder) -> None:
    first = make_plan(folder, {}).variables["SECRET_KEY"]
    assert make_plan(folder, {}).variables["SECRET_KEY"] == first
    assert make_plan(folder, {"SECRET_KEY": "given"}).variables["SECRET_KEY"] == "given"
    assert (folder.path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_an_empty_secret_key_is_named(folder: DataFolder) -> None:
    (folder.path / "secret_key").write_text("\n")
    with pytest.raises(StackError, match="secret_key is empty"):
        make_plan(folder, {})


def test_the_environment_file_can_be_read_by_the_settings(folder: DataFolder) -> None:
    import environ

    variables = make_plan(folder, {}).variables
    folder.write_environment(variables)

    class Read(environ.Env):  # type: ignore[misc]
        ENVIRON: dict[str, str] = {}  # noqa: RUF012

    Read.read_env(folder.path / "environment")
    assert variables == Read.ENVIRON
    assert (folder.path / "environment").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "65536", "8000 ", "٨٠٠٠"])
def test_a_port_is_a_number_from_1_to_65535(text: str) -> None:
    if text == "":
        assert read_port({"PORT": text}) == 8000
        return
    with pytest.raises(UsageError, match="PORT must be"):
        read_port({"PORT": text})


@pytest.mark.parametrize(("text", "expected"), [("", True), ("1", True), ("0", False), ("no", False), ("On", True)])
def test_demo_is_on_unless_it_is_switched_off(text: str, expected: bool) -> None:
    assert read_demo({"DEMO": text}) is expected


@pytest.mark.parametrize(
    ("variable", "bad", "good"),
    [
        ("CHRONICLE_CURRENCIES", "BTC", "BTC:8,ETH:9"),
        ("CHRONICLE_COCKROACHDB_MINIMUM", "a.b", "22.1"),
        ("IDEMPOTENCY_KEY_DAYS", "x", "400"),
        ("NATS_REPLICAS", "zero", "3"),
        ("NUM_PROXIES", "-1", "2"),
    ],
)
def test_what_the_settings_cannot_read_is_said_before_anything_starts(variable: str, bad: str, good: str) -> None:
    with pytest.raises(UsageError, match=f"^{variable} must be .*, not '{bad}'"):
        check_forms({variable: bad})
    check_forms({variable: good})
    check_forms({})


def test_two_launchers_cannot_have_one_folder(folder: DataFolder) -> None:
    folder.lock()
    with pytest.raises(StackError, match="already uses"):
        DataFolder(str(folder.path)).lock()
    folder.unlock()
    other = DataFolder(str(folder.path))
    other.lock()
    other.unlock()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="cannot be made"):
        DataFolder(str(tmp_path / "file" / "data"))


@pytest.mark.parametrize("variable", ["DATABASE_URL", "EVENT_STORE_URL", "EVENT_STORE_OWNER_URL", "READ_MODEL_URL"])
@pytest.mark.parametrize(
    "bad", ["postgresql://me:hunter2@host/db?no_such_option=1", "hunter2", "mysql://me:hunter2@host/db"]
)
def test_what_is_not_a_database_url_is_refused_without_repeating_it(variable: str, bad: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_forms({variable: bad})
    assert str(raised.value) == f"{variable} is not a database URL."
    check_forms({variable: "cockroachdb://root@host:26257/db?sslmode=disable"})


def test_a_password_with_odd_characters_is_not_printed() -> None:
    with pytest.raises(StackError) as raised:
        check_nats("nats://me:hun/ter2@127.0.0.1:1")
    assert "ter2" not in str(raised.value)


def test_an_installation_without_the_launcher_gets_a_secret_key_too(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHRONICLE_DATA", str(folder.path))
    secret.main()
    first = (folder.path / "environment").read_text()
    secret.main()
    assert (folder.path / "environment").read_text() == first
    assert f"SECRET_KEY={folder.secret_key()}\n" in first
