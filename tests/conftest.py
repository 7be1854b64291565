"""What every test may ask for: the real servers, access to the three databases, an empty world.

A test that needs a database uses the fixture `database` (or `clean_stores`, which also empties everything
first). Nothing is rolled back and nothing is faked: the code under test commits, as it does in production.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import Servers

SERVERS = Servers.describe()
os.environ.update(SERVERS.environment())
os.environ["DJANGO_SETTINGS_MODULE"] = "chronicle.settings"

from tests.clean import empty_everything  # noqa: E402  (imports Django, which reads the environment above)


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    if settings.NATS_URL != SERVERS.nats.url:
        raise pytest.UsageError("Django read its settings before the tests chose the servers: unset DJANGO_SETTINGS_MODULE.")


def pytest_unconfigure(config: pytest.Config) -> None:
    SERVERS.stop()


@pytest.fixture(scope="session")
def stack() -> Servers:
    """The running servers. Their databases are empty until `database` or `django_db_setup` migrates them."""
    SERVERS.start()
    return SERVERS


@pytest.fixture(scope="session")
def nats_url(stack: Servers) -> str:
    return stack.nats.url


@pytest.fixture(scope="session")
def django_db_setup(stack: Servers, django_test_environment: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Migrate our own databases, in place of the `test_` copies that pytest-django would make."""
    from django.core.management import call_command

    with django_db_blocker.unblock():
        call_command("migrate", interactive=False, verbosity=0)


@pytest.fixture
def database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Access to all three databases; what the test commits stays."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def clean_stores(database: None, stack: Servers) -> None:
    """An empty event store, read model and stream, and a portal with its users only."""
    empty_everything(stack)
