"""Turns the database URLs of the environment into Django's DATABASES.

One place decides the backend: a `cockroachdb://` URL gets django_cockroachdb, every other one Django's
PostgreSQL backend. libpq parses the URL, so that everything it understands (socket directories, several
hosts, TLS options) means the same here as in psql.
"""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import conninfo_to_dict

COCKROACHDB_SCHEME = "cockroachdb://"
_DJANGO_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
# How long libpq and the kernel wait for a host that is gone without a word: the first is asked after once it has been
# silent for IDLE, three times; what was sent and is not acknowledged counts against the last. They stay on this side of
# the wire (https://www.postgresql.org/docs/current/libpq-connect.html), so every server takes them, and a URL's own
# word comes first. For a socket of this machine they mean nothing.
PATIENCE = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


def is_cockroachdb(url: str) -> bool:
    return url.startswith(COCKROACHDB_SCHEME)


def database(url: str, role: str | None = None) -> dict[str, Any]:
    """Return the DATABASES entry for one URL.

    With `role`, every connection takes that database role unless it signs in as it already: so one owner's URL is
    enough to run the application without the owner's rights.

    **Why** with a statement (Django's `assume_role`, and `ledger.store.connection`): CockroachDB refuses a connection
    that names a role among its start-up parameters.
    """
    parameters: dict[str, Any] = conninfo_to_dict(url.replace(COCKROACHDB_SCHEME, "postgresql://", 1))
    entry: dict[str, Any] = {
        "ENGINE": "django_cockroachdb" if is_cockroachdb(url) else "django.db.backends.postgresql",
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 60,
    }
    parameters = {**PATIENCE, **parameters}
    for libpq_name, django_name in _DJANGO_NAMES.items():
        entry[django_name] = str(parameters.pop(libpq_name, "") or "")
    if role and entry["USER"] != role:
        parameters["assume_role"] = role
    entry["OPTIONS"] = parameters
    return entry


def lower_cockroachdb_minimum(version: tuple[int, ...]) -> None:
    """Let django-cockroachdb accept a server older than the one it was released for."""
    from django_cockroachdb.features import DatabaseFeatures

    DatabaseFeatures.minimum_database_version = version
