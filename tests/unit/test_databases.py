"""One URL a database: it decides the backend, the role, and nothing is lost on the way to the driver."""

from __future__ import annotations

import pytest
from psycopg.pq import Conninfo

from chronicle.databases import PATIENCE, database, lower_cockroachdb_minimum


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("cockroachdb://root@db:26257/ledger", "django_cockroachdb"),
        ("postgresql://app@db/ledger", "django.db.backends.postgresql"),
        ("postgres://app@db/ledger", "django.db.backends.postgresql"),
    ],
)
def test_the_scheme_decides_the_backend(url: str, engine: str) -> None:
    assert database(url)["ENGINE"] == engine


def test_everything_of_a_url_reaches_the_driver() -> None:
    entry = database("cockroachdb://app:s%40crt@db:26257/ledger?sslmode=verify-full&sslrootcert=/certs/ca.crt")
    assert (entry["NAME"], entry["USER"], entry["PASSWORD"]) == ("ledger", "app", "s@crt")
    assert (entry["HOST"], entry["PORT"]) == ("db", "26257")
    assert entry["OPTIONS"] == {**PATIENCE, "sslmode": "verify-full", "sslrootcert": "/certs/ca.crt"}


@pytest.mark.parametrize("scheme", ["cockroachdb", "postgresql"])
def test_a_host_that_is_gone_is_noticed_unless_a_url_says_otherwise(scheme: str) -> None:
    options = database(f"{scheme}://app@db/ledger")["OPTIONS"]
    assert options == PATIENCE
    assert PATIENCE.keys() <= {option.keyword.decode() for option in Conninfo.get_defaults()}, "libpq knows them"
    assert database(f"{scheme}://app@db/ledger?tcp_user_timeout=0")["OPTIONS"] == {**PATIENCE, "tcp_user_timeout": "0"}


def test_a_socket_folder_is_a_host() -> None:
    assert database("postgresql://postgres@/portal?host=/run/pg")["HOST"] == "/run/pg"


def test_another_users_connection_takes_the_role() -> None:
    options = database("cockroachdb://root@db/ledger?options=-c%20lock_timeout%3D5s", role="chronicle_app")["OPTIONS"]
    assert options == {**PATIENCE, "options": "-c lock_timeout=5s", "assume_role": "chronicle_app"}


def test_the_roles_own_connection_has_it_already() -> None:
    assert "assume_role" not in database("postgresql://chronicle_app@db/ledger", role="chronicle_app")["OPTIONS"]


def test_the_minimum_version_of_cockroachdb_can_be_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    from django_cockroachdb.features import DatabaseFeatures

    monkeypatch.setattr(DatabaseFeatures, "minimum_database_version", DatabaseFeatures.minimum_database_version)
    lower_cockroachdb_minimum((22, 1))
    assert DatabaseFeatures.minimum_database_version == (22, 1)
