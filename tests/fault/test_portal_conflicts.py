"""A page of the portal whose reads meet other writers (40001, as CockroachDB answers) is shown all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connections, transaction
from psycopg.errors import SerializationFailure

from chronicle.roles import Role
from ledger.models import JournalEntry
from ledger.store.connection import ALIAS, parameters
from ledger.store.prepared import ATTEMPTS_MAX
from tests.fault.proxy import Fault, FaultyServer
from tests.portal_world import BAKERY, accesses, signed_in, town

pytestmark = pytest.mark.usefixtures("clean_stores")
JOURNAL = b'FROM "journal"'


@pytest.fixture
def faulty(clean_stores: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """Put the proxy between Django and the event store."""
    town()
    connection = connections[ALIAS]
    with FaultyServer(parameters()).running() as server:
        connection.close()
        options = {**connection.settings_dict["OPTIONS"], "sslmode": "disable", "gssencmode": "disable"}
        through = {"HOST": "127.0.0.1", "PORT": str(server.port), "OPTIONS": options}
        monkeypatch.setattr(connection, "settings_dict", {**connection.settings_dict, **through})
        yield server
        connection.close()


def test_a_page_whose_reads_met_writers_is_shown_and_the_look_recorded_once(faulty: FaultyServer) -> None:
    remaining = [Fault.SERIALIZATION_FAILURE] * 3
    faulty.fault_for = lambda request: remaining.pop() if JOURNAL in request and remaining else None
    answer = signed_in(Role.AUDITOR).get("/admin/ledger/journalentry/", {"aggregate_id": BAKERY})
    assert answer.status_code == 200
    assert BAKERY in answer.content.decode()
    assert len(faulty.injected) == 3
    assert [subject for _, subject, _ in accesses()] == [BAKERY]


def test_reads_that_always_meet_writers_are_given_up(faulty: FaultyServer) -> None:
    faulty.fault_for = lambda request: Fault.SERIALIZATION_FAILURE if JOURNAL in request else None
    with pytest.raises(OperationalError) as raised:
        JournalEntry.objects.first()
    assert isinstance(raised.value.__cause__, SerializationFailure)
    assert len(faulty.injected) == ATTEMPTS_MAX


def test_within_a_transaction_nothing_is_tried_again_by_itself(faulty: FaultyServer) -> None:
    faulty.fault_for = lambda request: Fault.SERIALIZATION_FAILURE if JOURNAL in request else None
    with pytest.raises(OperationalError), transaction.atomic(using=ALIAS):
        JournalEntry.objects.first()
    assert len(faulty.injected) == 1
