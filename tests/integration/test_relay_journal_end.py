"""A relay that knows of more than the journal has: an event store that was set back to a backup while it ran."""

from __future__ import annotations

import asyncio

import pytest

from ledger.bus.jetstream import connected
from ledger.bus.publisher import Publisher
from ledger.errors import StoreUnavailable
from ledger.store import journal
from ledger.store.connection import dedicated_connection
from tests.ledger_world import deposit, new_account

pytestmark = pytest.mark.usefixtures("clean_stores")
DEADLINE_S = 60


async def test_what_the_journal_has_is_published_and_what_it_lacks_is_not_asked_for_without_end() -> None:
    deposit(new_account())
    with dedicated_connection() as connection:
        head = journal.sequence(connection, None).head.position
    async with connected("test") as client:
        publisher = Publisher(client, on_failure=lambda: None)
        await publisher.start()
        await publisher.synchronise()
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(StoreUnavailable, match=f"the journal ends at {head}"):
                await publisher.publish_through(head + 1)
        await publisher.settle()
        assert publisher.published == head
