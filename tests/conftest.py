"""What every test may ask for: the real servers, access to the three databases, an empty world.

A test that needs a database uses the fixture `database` (or `clean_stores`, which also empties everything
first). Nothing is rolled back and nothing is faked: the code under test commits, as it does in production.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chronicle.stack.nats_release import find_nats_server
from tests.servers import CACHE, Servers, run_manage

SERVERS = Servers.describe()
# Also when pytest fails before it is configured, and so never gets to unconfigure.
atexit.register(SERVERS.stop)
os.environ.update(SERVERS.environment())
os.environ["DJANGO_SETTINGS_MODULE"] = "chronicle.settings"

from tests import chromium  # noqa: E402
from tests.clean import empty_everything  # noqa: E402  (imports Django, which reads the environment above)

# Why the browser tests were skipped; said again at the end, where nobody overlooks it.
NO_BROWSER: list[str] = []
JOB_END_S = 10.0


def pytest_configure(config: pytest.Config) -> None:
    from django.conf import settings

    if SERVERS.nats.url != settings.NATS_URL:
        raise pytest.UsageError("Django was set up before the tests chose their servers: unset DJANGO_SETTINGS_MODULE.")
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        _prepare_machine()
    # Without this, a test run that is asked to end would leave its servers running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A million rounds of hashing for every user of a test is time that tests nothing.
    settings.PASSWORD_HASHERS = ["tests.hashers.OneRoundHasher"]
    # An xdist worker would inherit it, and set Django up before its own conftest has chosen.
    del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.hookimpl(optionalhook=True)  # there is none without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from tests.scheduling import FilesAndBrowser

    return FilesAndBrowser(config, log)


def _prepare_machine() -> None:
    """Fetch what is missing once, before the workers of xdist ask the package manager for it at the same time."""
    find_nats_server(CACHE)
    try:
        chromium.find_or_install()
    except chromium.BrowserMissing as error:
        NO_BROWSER.append(str(error))  # the workers skip, or fail in CI, each by itself


def pytest_unconfigure(config: pytest.Config) -> None:
    # The thread that nudges the relay would try to find the server again, and say so below pytest's last line.
    if nudge := sys.modules.get("ledger.bus.nudge"):
        nudge.stop()
    SERVERS.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if NO_BROWSER:
        terminalreporter.write_line(f"NO BROWSER TEST HAS RUN: {NO_BROWSER[0]}", red=True, bold=True)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The system's Chromium; start it with `tests.chromium.ARGUMENTS`."""
    try:
        return chromium.find_or_install()
    except chromium.BrowserMissing as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI has no browser: {error}")
        NO_BROWSER.append(str(error))
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="session")
def stack() -> Servers:
    """The running servers. Their databases are empty until `database` or `django_db_setup` migrates them."""
    SERVERS.start()
    return SERVERS


@pytest.fixture(scope="session")
def nats_url(stack: Servers) -> str:
    return stack.nats.url


@pytest.fixture(scope="session")
def django_db_setup(stack: Servers, django_test_environment: None) -> None:
    """Migrate our own databases, in place of the `test_` copies that pytest-django would make."""
    # In a process of its own, because `migrate` signs in as the owner, and no test may inherit that.
    run_manage("migrate", "--no-input")


@pytest.fixture
def database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """Access to all three databases; what the test commits stays."""
    from asgiref.sync import SyncToAsync
    from django.db import connections

    with django_db_blocker.unblock():
        # Fresh ones, here and in the thread of `sync_to_async`: the test before may have had the server end them.
        connections.close_all()
        SyncToAsync.single_thread_executor.submit(connections.close_all).result()
        yield
        # Whoever waits for a job's process notes its end in the database, a moment after that end can be seen.
        for thread in threading.enumerate():
            if thread.name.startswith("job "):
                thread.join(JOB_END_S)


@pytest.fixture
def clean_stores(database: None, stack: Servers) -> None:
    """An empty event store, read model and stream, and a portal with its users only."""
    empty_everything(stack)
