"""The relay: gapless positions, whole commands, and a stream whose sequence is the position."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger.bus import relay
from ledger.bus.envelope import NUDGE_SUBJECT, STREAM, decode, from_envelope
from ledger.bus.jetstream import connected, ensure_stream
from ledger.bus.publisher import ForeignStream
from ledger.domain.commands import Deposit, Transfer
from ledger.engine.execute import execute
from ledger.store import journal
from ledger.store.connection import dedicated_connection
from ledger.store.event_store import FINAL_AFTER
from ledger.store.hashing import extend_running_hash
from tests.engines import postgresql_only
from tests.ledger_world import deposit, new_account, rows, scalar, submission

pytestmark = pytest.mark.usefixtures("clean_stores")
DEADLINE_S = 60


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not await condition():
                await asyncio.sleep(0)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE_S} s: {what}")


@asynccontextmanager
async def running_relay() -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(relay.relay_events(stop))
    try:
        yield
    finally:
        stop.set()
        async with connected("test") as client:  # it may be waiting for a nudge
            await client.publish(NUDGE_SUBJECT, b"")
        await asyncio.wait_for(task, DEADLINE_S)


async def stream_has(count: int) -> None:
    async with connected("test") as client:
        js = client.jetstream()

        async def is_there() -> bool:
            streams = {info.config.name: info.state.last_seq for info in await js.streams_info()}
            return streams.get(STREAM, 0) == count

        await until(is_there, f"a stream of {count} events")


async def messages(count: int) -> list[journal.Sequenced]:
    """Return the first messages of the stream, checking that sequence and position agree."""
    async with connected("test") as client:
        js = client.jetstream()
        found = [await js.get_msg(STREAM, sequence) for sequence in range(1, count + 1)]
    events = [from_envelope(decode(message.data or b"")) for message in found]
    assert [message.seq for message in found] == [event.position for event in events]
    assert [message.subject for message in found] == [f"ledger.events.{e.event.event_type}" for e in events]
    return events


def history() -> int:
    """Make a small history and return how many events it has."""
    source, target = new_account(100), new_account(0)
    execute([submission(Transfer(source, target, Decimal(1))) for _ in range(20)])
    return 2 + 1 + 40


async def test_the_journal_and_the_stream_hold_every_event_in_order() -> None:
    count = history()
    async with running_relay():
        await stream_has(count)
    entries = journal.read(0)
    assert [e.position for e in entries] == list(range(1, count + 1))
    assert await messages(count) == entries
    assert scalar("SELECT count(*) FROM outbox") == 0


async def test_a_command_is_never_split_and_versions_rise_with_positions() -> None:
    count = history()
    async with running_relay():
        await stream_has(count)
    entries = journal.read(0)
    for before, after in itertools.pairwise(entries):
        continues = after.command_id == before.command_id and after.command_index == before.command_index + 1
        begins = after.command_index == 0 and before.command_index == before.command_size - 1
        assert continues or begins
    versions: dict[str, int] = {}
    for entry in entries:
        assert entry.event.version == versions.get(entry.event.aggregate_id, 0) + 1
        versions[entry.event.aggregate_id] = entry.event.version


async def test_the_running_hash_covers_every_event_in_order() -> None:
    count = history()
    async with running_relay():
        await stream_has(count)
    running_hash = bytes(32)
    for entry in journal.read(0):
        running_hash = extend_running_hash(running_hash, entry.event.hash)
        assert entry.running_hash == running_hash


async def test_three_relays_and_four_writers_leave_no_gap_and_no_double() -> None:
    account_ids = [new_account(1000) for _ in range(5)]

    def write(number: int) -> None:
        for _ in range(10):
            a, b = account_ids[number], account_ids[(number + 1) % 5]
            execute([submission(Transfer(a, b, Decimal(1))), submission(Deposit(a, Decimal(1)))])

    async with running_relay(), running_relay(), running_relay():
        await asyncio.gather(*(asyncio.to_thread(write, number) for number in range(4)))
        await stream_has(10 + 4 * 10 * 3)
    entries = journal.read(0)
    assert [e.position for e in entries] == list(range(1, 131))
    assert await messages(130) == entries
    assert len({e.event.event_id for e in entries}) == 130


async def test_a_lost_stream_is_published_again_from_the_journal() -> None:
    count = history()
    async with running_relay():
        await stream_has(count)
        async with connected("test") as client:
            await client.jetstream().delete_stream(STREAM)
        await stream_has(count)
        deposit(new_account(0), 1)
        await stream_has(count + 2)
    assert await messages(count + 2) == journal.read(0)


async def test_a_relay_that_died_after_sequencing_is_replaced_by_the_next() -> None:
    count = history()
    with dedicated_connection() as connection:
        journal.sequence(connection, None)  # all that a relay killed at this point has done
    assert scalar("SELECT count(*) FROM outbox") == 0
    async with running_relay():
        await stream_has(count)


async def test_many_commands_are_followed_by_a_look_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL_S", 3600)
    monkeypatch.setattr(relay, "GATHER_S", 0.5)
    account_id = new_account(0)
    many = [submission(Deposit(account_id, Decimal(1))) for _ in range(relay.MANY_COMMANDS)]
    await asyncio.to_thread(execute, many)
    async with running_relay():
        await stream_has(1 + relay.MANY_COMMANDS)
        await asyncio.to_thread(execute, [submission(Deposit(account_id, Decimal(1)))])
        await stream_has(2 + relay.MANY_COMMANDS)


async def test_whoever_tells_of_what_was_found_already_has_it_look_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a step took a command before its nudge came: of those right behind it, the batcher tells nobody."""
    monkeypatch.setattr(relay, "POLL_S", 3600)
    account_id, looks, original = new_account(0), list[journal.Step](), journal.sequence_in_loop

    async def looked(*arguments: Any) -> journal.Step:
        step = await original(*arguments)
        looks.append(step)
        if len(looks) == 3:
            await asyncio.to_thread(execute, [submission(Deposit(account_id, Decimal(1)))])
        return step

    async def has_nothing_more_to_do() -> bool:
        return len(looks) == 2

    monkeypatch.setattr(journal, "sequence_in_loop", looked)
    async with running_relay(), connected("test") as client:
        await until(has_nothing_more_to_do, "a look that found nothing")
        await client.publish(NUDGE_SUBJECT, b"")
        await stream_has(2)
    assert [step.commands for step in looks[:3]] == [1, 0, 0]


async def test_what_a_step_has_ordered_is_sent_before_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMMANDS_PER_STEP_MAX", 1)
    account_id, commands = new_account(), 20
    seen: list[tuple[int, int, int]] = []
    ordered, step_in_loop = 0, journal.sequence_in_loop
    async with connected("relay") as client:
        stop = asyncio.Event()
        one = relay.Relay(client, stop)

        async def watched(*arguments: Any) -> journal.Step:
            nonlocal ordered
            seen.append((ordered, one._publisher.sent, client.pending_data_size))
            step = await step_in_loop(*arguments)
            ordered = step.head.position
            return step

        monkeypatch.setattr(journal, "sequence_in_loop", watched)
        running = asyncio.create_task(one.run())
        await stream_has(1)
        before = len(seen)
        await asyncio.to_thread(execute, [submission(Deposit(account_id, Decimal(1))) for _ in range(commands)])
        await stream_has(1 + commands)
        stop.set()
        await running
    assert len(seen) - before >= commands
    assert all(sent == ordered and not pending for ordered, sent, pending in seen[before:])


async def test_a_step_that_fails_leaves_the_outbox_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    history()
    waiting = scalar("SELECT count(*) FROM outbox")
    monkeypatch.setattr(
        journal.sql, "READ_EVENTS_BY_KEY", "SELECT 1 / 0 FROM unnest(%b::text[], %b::bigint[]) AS u(a, b)"
    )
    with dedicated_connection() as connection, pytest.raises(Exception, match="division by zero"):
        journal.sequence(connection, None)
    assert scalar("SELECT count(*) FROM outbox") == waiting
    assert scalar("SELECT count(*) FROM journal") == 0


async def test_a_stream_of_another_event_store_is_refused() -> None:
    history()
    async with connected("test") as client:
        js = client.jetstream()
        await ensure_stream(js)
        for _ in range(100):
            await js.publish("ledger.events.MoneyDeposited", b'{"position": 1, "running_hash": "00"}')
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(relay.relay_events(asyncio.Event()), DEADLINE_S)
    assert caught.group_contains(ForeignStream)


@postgresql_only("on CockroachDB the second begins anew, and takes what the first has left")
async def test_a_relay_that_came_second_does_not_take_the_outbox_for_drained() -> None:
    account_id = new_account(0)
    execute([submission(Deposit(account_id, Decimal(1))) for _ in range(journal.COMMANDS_PER_STEP_MAX + 10)])
    with dedicated_connection() as first, dedicated_connection() as second:
        with first.transaction():
            first.execute(journal.sql.TAKE_OUTBOX, (journal.COMMANDS_PER_STEP_MAX,))
            # It chooses the same rows, waits for the first, and finds them gone.
            behind = asyncio.create_task(asyncio.to_thread(journal.sequence, second, None))
            await until(lambda: is_waiting(second), "the second relay waits for the first")
        step = await behind
        assert step.drained_at is None, "ten commands and more are still waiting"
        assert journal.sequence(second, None).drained_at is not None


async def is_waiting(connection: Any) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    return await asyncio.to_thread(scalar, query, connection.info.backend_pid) == 1


async def test_a_command_that_becomes_visible_late_is_marked() -> None:
    account_id = new_account(0)
    with dedicated_connection() as connection:
        step = journal.sequence(connection, None)
        assert step.drained_at is not None
        assert step.late == []
        deposit(account_id, 1)
        # The outbox was seen empty long after this command's recorded_at: it was not there when it should have been.
        step = journal.sequence(connection, step.drained_at + FINAL_AFTER + timedelta(seconds=5))
    assert [late.event.aggregate_id for late in step.late] == [account_id]
    assert rows("SELECT is_late FROM journal ORDER BY position") == [(False,), (True,)]
