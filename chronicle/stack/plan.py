"""Reads the environment and decides what the launcher brings itself and what it was given.

A URL that is given replaces its embedded part; PostgreSQL is started for the parts that are left, nats-server
when NATS_URL is not given. Everything that can be found out before anything starts is found out here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chronicle.stack import given
from chronicle.stack.data_folder import DataFolder
from chronicle.stack.nats import NatsServer
from chronicle.stack.ports import LOOPBACK, first_free
from chronicle.stack.postgres import EmbeddedPostgres

# Where a nats-server listens by default, and the next ones for a second stack on the same machine.
NATS_PORTS = range(4222, 4322)
# What `chronicle.settings` takes apart, and how.
_CURRENCY = r"[A-Z0-9]{3,10}:\d{1,2}"
_FORMS = {
    "CHRONICLE_CURRENCIES": (rf"({_CURRENCY}(,{_CURRENCY})*)?", "currencies with their decimals, such as BTC:8,ETH:9"),
    "CHRONICLE_COCKROACHDB_MINIMUM": (r"(\d+(\.\d+)*)?", "a version, such as 22.1"),
    "IDEMPOTENCY_KEY_DAYS": (r"\d{1,6}", "a whole number of days"),
    "NATS_REPLICAS": (r"[1-5]", "a number from 1 to 5"),
    "NUM_PROXIES": (r"\d{1,3}", "a number of proxies"),
}
DATABASE_BY_VARIABLE = {"DATABASE_URL": "portal", "EVENT_STORE_URL": "event_store", "READ_MODEL_URL": "read_model"}
DEFAULT_ROLE = "chronicle_app"


class UsageError(Exception):
    """A variable has a value that cannot be meant. `str()` is one sentence."""


@dataclass(frozen=True)
class Plan:
    """What to start, and the environment that the services get."""

    folder: DataFolder
    port: int
    with_demo: bool
    postgres: EmbeddedPostgres | None
    nats: NatsServer | None
    role: str
    variables: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def read_port(environment: Mapping[str, str]) -> int:
    text = environment.get("PORT") or "8000"
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise UsageError(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def read_demo(environment: Mapping[str, str]) -> bool:
    text = (environment.get("DEMO") or "1").lower()
    if text not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise UsageError(f"DEMO must be 1 or 0, not {text!r}.")
    return text in {"1", "true", "yes", "on"}


def check_forms(environment: Mapping[str, str]) -> None:
    """Refuse at once what the settings could not read, and every program of the stack would fall over.

    Raises: UsageError.
    """
    for variable, (form, meaning) in _FORMS.items():
        if (text := environment.get(variable)) is not None and not re.fullmatch(form, text, re.ASCII):
            raise UsageError(f"{variable} must be {meaning}, not {text!r}.")
    for variable in (*DATABASE_BY_VARIABLE, "EVENT_STORE_OWNER_URL"):
        if (url := environment.get(variable)) and not given.is_database_url(url):
            raise UsageError(f"{variable} is not a database URL.")  # not repeated: it may hold a password


def check_given(environment: Mapping[str, str]) -> None:
    """Sign in to every server that was given.

    **Why** only the event store's owner: the application's role may not exist before `migrate` has made it.
    """
    for variable in DATABASE_BY_VARIABLE:
        if url := environment.get(variable):
            owner = environment.get("EVENT_STORE_OWNER_URL") if variable == "EVENT_STORE_URL" else None
            given.check_database("EVENT_STORE_OWNER_URL" if owner else variable, owner or url)
    if url := environment.get("NATS_URL"):
        given.check_nats(url)


def make_plan(folder: DataFolder, environment: Mapping[str, str]) -> Plan:
    """Decide; start nothing."""
    is_embedded = any(not environment.get(variable) for variable in DATABASE_BY_VARIABLE)
    postgres = EmbeddedPostgres.at(folder.path / "postgres") if is_embedded else None
    nats = None if environment.get("NATS_URL") else NatsServer.create(folder.path / "nats", first_free(NATS_PORTS))
    role = environment.get("EVENT_STORE_ROLE") or DEFAULT_ROLE
    variables = {"SECRET_KEY": environment.get("SECRET_KEY") or folder.secret_key()}
    for variable, database in DATABASE_BY_VARIABLE.items():
        if url := environment.get(variable):
            variables[variable] = url
            if variable == "EVENT_STORE_URL":
                variables["EVENT_STORE_OWNER_URL"] = environment.get("EVENT_STORE_OWNER_URL") or url
        else:
            assert postgres is not None, "a database that was not given is embedded"
            variables[variable] = postgres.url(database)
            if variable == "EVENT_STORE_URL":
                variables["EVENT_STORE_OWNER_URL"] = postgres.url(database)
                variables[variable] = postgres.url(database, role)
    variables["NATS_URL"] = nats.url if nats else environment["NATS_URL"]
    return Plan(folder, read_port(environment), read_demo(environment), postgres, nats, role, variables)
