"""Fixtures that several modules of the API's tests share; what they are made of is in the `*_world` modules.

The imports are in the fixtures, because pytest reads this file before Django is set up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps

from tests.servers import Servers

if TYPE_CHECKING:
    from django.test import Client

    from ledger.engine.batching import Batcher
    from tests.books_world import Books

READ_WAIT_S = 30.0


@pytest.fixture(scope="module")
def database_for_module(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Access to all three databases for a module's fixtures."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def clean_stores_for_module(database_for_module: None, stack: Servers) -> None:
    """An empty world, which a module fills once for all its tests."""
    from tests.clean import empty_everything

    empty_everything(stack)


@pytest.fixture
def no_shadows(database: None) -> None:
    """No set of tables beside the live ones."""
    from tests.rebuild_world import drop_shadows

    drop_shadows()


@pytest.fixture
def auditor(database: None) -> Client:
    """A browser of a new user who reads everything in the portal and changes nothing."""
    from chronicle.roles import Role
    from tests.portal_world import signed_in

    return signed_in(Role.AUDITOR)


@pytest.fixture(scope="module")
def operator(database_for_module: None) -> Client:
    """A client that may issue commands."""
    from chronicle.roles import Role
    from tests.api_world import client_with

    return client_with(Role.OPERATOR)


@pytest.fixture(scope="module")
def books(database_for_module: None, stack: Servers) -> Iterator[Books]:
    """A known history behind a running relay and projector."""
    from tests.books_world import open_books

    with open_books(stack) as opened:
        yield opened


@pytest.fixture(scope="module")
def _accounts_to_name(operator: Client) -> None:
    from tests.bad_input_world import open_accounts

    open_accounts(operator)


@pytest.fixture(autouse=True)
def _patient_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a read wait for what it asked for as long as a crowded machine needs; how long in life is no test's matter."""
    if not apps.ready:
        return
    from ledger.api import waiting
    from projections.api import freshness

    for module, name in ((waiting, "ASKED_WAIT_S"), (freshness, "ASKED_WAIT_S"), (freshness, "WAIT_S")):
        monkeypatch.setattr(module, name, READ_WAIT_S)


@pytest.fixture
def batcher(database: None) -> Iterator[Batcher]:
    """Group commit of the test's own, which the process's other callers are not in."""
    from ledger.engine.batching import Batcher

    made = Batcher()
    yield made
    made.close()


@pytest.fixture
def own_key(tmp_path: Path, settings: Any) -> None:
    """A signing key of the test's own, which it may change: the other tests' log goes on with theirs."""
    from ledger.store import log_key

    settings.LOG_SIGNING_KEY = str(tmp_path / "log_key.pem")
    settings.CHRONICLE_DATA = tmp_path
    log_key.load_or_create_signer()


@pytest.fixture
def nothing_is_written(database: None, _accounts_to_name: None) -> Iterator[None]:
    """Whatever the test does, no table that a command may write to has changed after it."""
    from tests.ledger_world import table_sizes

    before = table_sizes()
    yield
    assert table_sizes() == before


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the engine read from here on, by a memory that begins empty."""
    from ledger.engine import writing
    from ledger.engine.remembered import Remembered
    from ledger.store import event_store

    seen: list[list[str]] = []
    read = event_store.read

    def noted(aggregate_ids: Any, *others: Any) -> event_store.Snapshot:
        seen.append(list(aggregate_ids))
        return read(aggregate_ids, *others)

    monkeypatch.setattr(event_store, "read", noted)
    monkeypatch.setattr(writing, "REMEMBERED", Remembered())
    return seen


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, reads: list[list[str]]) -> Callable[[Callable[[], Any]], Any]:
    """Does something as another process would, which remembers other things."""
    from ledger.engine import writing
    from ledger.engine.remembered import Remembered

    def done(act: Callable[[], Any]) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(writing, "REMEMBERED", Remembered())
            result = act()
        reads.clear()
        return result

    return done
