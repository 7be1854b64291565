"""The live feed in one process: every subscriber gets every event it wants once, in order, whatever the bus does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import orjson
import pytest
from django.conf import LazySettings

from auditor import feed as feed_module
from auditor.feed import Feed, TooManySubscribers
from auditor.live_events import Filter, LiveEvent
from auditor.subscription import EVENTS_PER_FRAME_MAX, Subscription
from chronicle.stack.ports import LOOPBACK, ReservedPort
from ledger import selectors
from ledger.bus.envelope import STREAM, encode, subject_of
from ledger.bus.jetstream import connected
from ledger.bus.relay import relay_events
from ledger.domain.commands import Deposit
from ledger.engine.execute import execute
from ledger.store import journal
from tests.ledger_world import new_account, submission

pytestmark = pytest.mark.usefixtures("clean_stores")
DEADLINE_S = 60


@asynccontextmanager
async def relaying() -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(relay_events(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE_S)


async def deposits(account: str, count: int) -> None:
    await asyncio.to_thread(execute, [submission(Deposit(account, Decimal(1))) for _ in range(count)])


async def collect(subscription: Subscription, count: int) -> list[LiveEvent]:
    found: list[LiveEvent] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            found += await subscription.next_batch()
    return found


async def reached(feed: Feed, position: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        await feed.wait_for_events(position - 1)


def positions(events: list[LiveEvent]) -> list[int]:
    return [event.position for event in events]


async def test_a_subscriber_gets_history_and_then_what_is_new_in_one_order() -> None:
    account = new_account()
    feed = Feed()
    async with relaying(), feed.running():
        await deposits(account, 2 * EVENTS_PER_FRAME_MAX)
        events = await collect(Subscription(feed, 0, Filter()), 2 * EVENTS_PER_FRAME_MAX + 1)
        assert positions(events) == list(range(1, len(events) + 1))
        assert orjson.loads(events[0].body) == selectors.events(0, 1).events[0]


async def test_what_is_no_longer_kept_comes_from_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "KEPT_EVENTS_MAX", 10)
    account = new_account()
    feed = Feed()
    async with relaying(), feed.running():
        await deposits(account, 500)
        await reached(feed, 501)
        assert feed.kept_after(0) is None
        assert positions(await collect(Subscription(feed, 0, Filter()), 501)) == list(range(1, 502))


async def test_without_a_stream_the_journal_is_followed(settings: LazySettings) -> None:
    account = new_account()
    feed = Feed()
    async with relaying():
        await deposits(account, 3)
        reserved = ReservedPort()
        settings.NATS_URL = f"nats://{LOOPBACK}:{reserved.release()}"  # nobody listens there
        async with feed.running():
            subscription = Subscription(feed, 0, Filter())
            assert positions(await collect(subscription, 4)) == [1, 2, 3, 4]
            await deposits(account, 2)
            assert positions(await collect(subscription, 2)) == [5, 6]
            async with asyncio.timeout(DEADLINE_S):
                assert (await feed.next_status()).is_stream_connected is False


async def test_a_stream_that_is_lost_on_the_way_leaves_no_hole() -> None:
    account = new_account()
    feed = Feed()
    async with relaying(), feed.running(), connected("test") as client:
        subscription = Subscription(feed, 0, Filter())
        await collect(subscription, 1)
        for round_ in range(3):
            await deposits(account, 5)
            if round_ == 1:
                await client.jetstream().delete_stream(STREAM)
            await deposits(account, 5)
        assert positions(await collect(subscription, 30)) == list(range(2, 32))


async def test_an_event_that_the_journal_does_not_have_is_never_shown() -> None:
    account = new_account()
    async with relaying():
        await deposits(account, 4)
        feed = Feed()
        async with feed.running():
            await reached(feed, 5)
    forged = journal.read(4, 1)[0]
    body = (
        encode(forged).replace(b'"position":5', b'"position":6').replace(b'"amount_minor":100', b'"amount_minor":900')
    )
    # The relay is stopped, so nothing else writes to the stream; the forger has everything but the journal.
    async with feed.running(), connected("forger") as client:
        subscription = Subscription(feed, 5, Filter())
        await client.jetstream().publish(subject_of("MoneyDeposited"), body)
        async with asyncio.timeout(DEADLINE_S):
            await feed.next_status()  # by then the stream has been followed and the journal asked
            await feed.next_status()
        assert feed.position == 5
        assert feed.kept_after(5) == []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(subscription.next_batch(), 0.2)


async def test_any_number_of_subscribers_cut_off_at_any_time_get_each_event_once() -> None:
    choose = random.Random(7)
    accounts = [new_account() for _ in range(4)]
    feed = Feed()

    async def follow(wanted: Filter, seen: list[int], stop_at: asyncio.Future[int]) -> None:
        """Follow, lose the connection at random, and resume from the last event seen, as a client does."""
        while not stop_at.done() or (seen[-1] if seen else 0) < stop_at.result():
            async with feed.running():
                subscription = Subscription(feed, seen[-1] if seen else 0, wanted)
                for _ in range(choose.randint(1, 4)):
                    try:
                        seen += positions(await asyncio.wait_for(subscription.next_batch(), choose.random() / 5))
                    except TimeoutError:
                        break

    filters = [Filter(), Filter(event_type="MoneyDeposited"), *(Filter(aggregate_id=id_) for id_ in accounts)]
    async with relaying():
        ends: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in filters]
        seen: list[list[int]] = [[] for _ in filters]
        followers = [asyncio.create_task(follow(*each)) for each in zip(filters, seen, ends, strict=True)]
        for _ in range(30):
            await deposits(choose.choice(accounts), choose.randint(1, 40))
        await deposits(accounts[0], 1)
        async with feed.running():
            await reached(feed, await _total(accounts))
        truth = [_wanted_positions(wanted) for wanted in filters]
        for end, expected in zip(ends, truth, strict=True):
            end.set_result(expected[-1])
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*followers)
    assert seen == truth


async def _total(accounts: list[str]) -> int:
    """Return how many events there are, by the versions of the accounts."""
    from ledger.store.history import head_version

    versions = [await asyncio.to_thread(head_version, account) for account in accounts]
    return sum(versions)


def _wanted_positions(wanted: Filter) -> list[int]:
    everything = [event for batch in journal.read_all(0, journal.head().position) for event in batch]
    return [
        sequenced.position
        for sequenced in everything
        if wanted.event_type in ("", sequenced.event.event_type)
        and wanted.aggregate_id in ("", sequenced.event.aggregate_id)
    ]


async def test_a_feed_that_fails_tells_its_subscribers_and_the_next_one_starts_it_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = new_account()
    feed = Feed()

    def fail(*_: object) -> None:
        raise RuntimeError("a mistake in the feed")

    async with relaying():
        with monkeypatch.context() as patch:
            patch.setattr(feed_module, "read_status", fail)
            with pytest.raises(RuntimeError, match="a mistake"):
                async with feed.running(), asyncio.timeout(DEADLINE_S):
                    await feed.wait_for_events(10**9)
        async with feed.running():
            await deposits(account, 1)
            assert positions(await collect(Subscription(feed, 0, Filter()), 2)) == [1, 2]


async def test_there_is_a_limit_to_how_many_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SUBSCRIBERS_MAX", 1)
    feed = Feed()
    async with feed.running():
        with pytest.raises(TooManySubscribers):
            async with feed.running():
                pass
