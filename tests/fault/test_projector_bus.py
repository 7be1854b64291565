"""The bus lies, loses, repeats or goes away: the projector recovers from the journal by itself, or raises an alarm."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import orjson
import pytest
from django.conf import settings
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from ledger.bus.envelope import STREAM, SUBJECT_PREFIX, decode, encode, subject_of
from ledger.bus.jetstream import ensure_stream
from ledger.bus.relay import delete_stream
from ledger.store import journal
from ledger.store.hashing import extend_running_hash
from ledger.store.journal import Sequenced
from ledger.store.recorded import hash_of
from projections import runner, turn
from projections.subscription import CONSUMER
from tests.read_world import (
    alarms,
    assert_read_model_is_right,
    change_event_store,
    change_read_model,
    open_accounts,
    order_everything,
    positions,
    projector,
    random_commands,
    relay,
    submit,
    wait_until_applied,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
ALARM_S_MAX = 1.0  # on a machine with time for it; how much a crowded one adds, no test could tell from a mistake


def on_the_bus(work: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        client = await nats.connect(settings.NATS_URL)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def publish(bodies: list[bytes]) -> None:
    """Put messages into the stream as they are, in place of a relay."""

    async def work(js: JetStreamContext) -> None:
        await ensure_stream(js)
        for body in bodies:
            await js.publish(subject_of("MoneyDeposited"), body)

    on_the_bus(work)


def events_of_history(commands: int = 60) -> list[Sequenced]:
    submit(*random_commands(open_accounts(5), commands))
    return journal.read(0, order_everything())


Bodies = list[bytes]


def every_ninth(bodies: Bodies, replacement: bytes) -> Bodies:
    return [replacement if number % 9 == 4 else body for number, body in enumerate(bodies)]


def swapped(bodies: Bodies) -> Bodies:
    pairs = zip(bodies[1::2], bodies[::2], strict=False)
    return [body for pair in pairs for body in pair] + bodies[len(bodies) & ~1 :]


def altered(bodies: Bodies) -> Bodies:
    return [*bodies[:30], bodies[30].replace(b'"balance_minor":', b'"balance_minor":1'), *bodies[31:]]


MANGLED: dict[str, Callable[[Bodies], Bodies]] = {
    "doubled": lambda bodies: [*bodies[:10], *bodies[5:20], *bodies[5:]],
    "with holes": lambda bodies: [body for number, body in enumerate(bodies) if number % 7],
    "without the last": lambda bodies: bodies[:-3],
    "backwards": lambda bodies: bodies[::-1],
    "pairwise swapped": swapped,
    "unreadable in places": lambda bodies: every_ninth(bodies, b"\xff not JSON"),
    "of another form in places": lambda bodies: every_ninth(bodies, b'{"position": "7"}'),
    "tampered with": altered,
}


@pytest.mark.parametrize("how", MANGLED)
def test_what_the_bus_brings_wrongly_is_healed_from_the_journal(how: str) -> None:
    bodies = [encode(event) for event in events_of_history()]
    mangled = MANGLED[how](bodies)
    assert mangled != bodies, "the mangling mangles"
    publish(mangled)
    with projector():
        wait_until_applied()
    assert_read_model_is_right()
    assert alarms() == {}


def test_a_careful_forgery_raises_an_alarm() -> None:
    """The forged event hashes right and continues the running hash: only the journal knows better."""
    assert turn.AUDIT_S + runner.IDLE_S < ALARM_S_MAX, "it is asked this often"
    events = events_of_history()
    honest, last = events[:-1], events[-1]
    assert last.command_size == 1 or last.command_index == 1
    with projector():
        publish([encode(event) for event in honest[: len(honest) - last.command_index]])
        wait_until_applied(len(honest) - last.command_index)
        # One more deposit, which the journal has never heard of, where its next command will be.
        publish([forged_after(honest[len(honest) - last.command_index - 1])])
        wait_for(lambda: bool(alarms()), "an alarm")
    assert "not the history" in next(iter(alarms().values()))
    assert set(alarms()) == set(positions()), "every read model says so"


def forged_after(honest: Sequenced) -> bytes:
    metadata = {**honest.event.metadata, "command_index": 0, "command_size": 1}
    event = honest.event._replace(metadata=metadata, version=honest.event.version + 1000, event_type="AccountFrozen")
    event = event._replace(hash=hash_of(event))
    forged = honest._replace(event=event, position=honest.position + 1, command_index=0, command_size=1)
    return encode(forged._replace(running_hash=extend_running_hash(honest.running_hash, event.hash)))


def test_a_journal_that_was_altered_raises_an_alarm_and_nothing_moves() -> None:
    events_of_history()
    change_event_store("UPDATE events SET data = data || '{\"amount_minor\": 1}' WHERE event_type = 'MoneyWithdrawn'")
    first_altered = next(e.position for e in journal.read(0) if e.event.event_type == "MoneyWithdrawn")
    with projector():
        wait_for(lambda: bool(alarms()), "an alarm")
    assert f"event {first_altered}" in next(iter(alarms().values()))
    assert max(positions().values()) < first_altered


def test_a_read_model_of_another_event_store_raises_an_alarm() -> None:
    """The event store was replaced: its positions begin again, and none of them may be taken for applied."""
    events_of_history()
    with projector():
        wait_until_applied()
    for table in ("events", "journal", "outbox"):
        change_event_store(f"DELETE FROM {table}")
    submit(*random_commands(open_accounts(5, "other"), 10))
    order_everything()
    with projector():
        wait_for(lambda: bool(alarms()), "an alarm")
    assert set(alarms()) == set(positions())


def test_a_deleted_consumer_is_made_again() -> None:
    accounts = open_accounts(5)
    with relay(), projector():
        submit(*random_commands(accounts, 30))
        wait_until_followed()
        on_the_bus(lambda js: js.delete_consumer(STREAM, CONSUMER))
        submit(*random_commands(accounts, 30, seed=2))
        wait_until_followed()
        wait_for(consumer_exists, "the consumer is back")
    assert_read_model_is_right()


def consumer_exists() -> bool:
    try:
        return bool(on_the_bus(lambda js: js.consumer_info(STREAM, CONSUMER)))
    except NotFoundError:
        return False


def wait_until_followed() -> None:
    order_everything()
    wait_until_applied()


def test_a_deleted_stream_is_published_again_and_followed() -> None:
    accounts = open_accounts(5)
    with relay(), projector():
        submit(*random_commands(accounts, 30))
        wait_until_followed()
        asyncio.run(delete_stream())
        submit(*random_commands(accounts, 30, seed=2))
        wait_until_followed()
        wait_for(consumer_exists, "stream and consumer are back")
        wait_for(lambda: stream_length() == journal.head().position, "the stream holds the journal again")
        submit(*random_commands(accounts, 30, seed=3))
        wait_until_followed()
    assert_read_model_is_right()


def stream_length() -> int:
    try:
        return int(on_the_bus(lambda js: js.stream_info(STREAM)).state.last_seq)
    except NotFoundError:
        return 0


def test_a_stream_that_somebody_else_filled_changes_nothing() -> None:
    """Foreign messages under our subjects: the journal has none of them, so they are not applied."""
    bodies = [encode(event) for event in events_of_history()]
    head = journal.head().position
    foreign = [orjson.dumps({**decode(body), "position": head + number}) for number, body in enumerate(bodies, 1)]
    publish([*bodies, *foreign])
    with projector():
        wait_until_applied()
        acknowledged = lambda: on_the_bus(lambda js: js.consumer_info(STREAM, CONSUMER)).delivered.stream_seq  # noqa: E731
        wait_for(lambda: acknowledged() == len(bodies) + len(foreign), "all messages are delivered")
    assert_read_model_is_right()
    assert set(positions().values()) == {head}


def test_without_any_stream_the_journal_is_followed() -> None:
    events_of_history()
    with projector():  # no relay, so nobody makes the stream
        wait_until_applied()
        submit(*random_commands(open_accounts(3, "later"), 10))
        order_everything()
        wait_until_applied()
    assert_read_model_is_right()


def test_a_stream_with_other_limits_that_lost_its_beginning_is_no_obstacle() -> None:
    bodies = [encode(event) for event in events_of_history()]

    async def work(js: JetStreamContext) -> None:
        await js.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT_PREFIX + ">"], max_msgs=10))
        for body in bodies:
            await js.publish(subject_of("MoneyDeposited"), body)

    on_the_bus(work)
    with projector():
        wait_until_applied()
    assert_read_model_is_right()


def test_a_history_that_breaks_behind_the_others_is_the_alarm_of_the_one_that_reads_it() -> None:
    events = events_of_history()
    with projector():
        wait_until_applied()
    altered_at = next(e.position for e in events if e.event.event_type == "MoneyWithdrawn")
    change_event_store("UPDATE events SET data = data || '{\"amount_minor\": 1}' WHERE event_id = %s",
                       events[altered_at - 1].event.event_id)  # fmt: skip
    change_read_model("DELETE FROM checkpoints WHERE projection = 'search'", "TRUNCATE search_entries")
    with projector():
        wait_for(lambda: bool(alarms()), "an alarm")
        submit(*random_commands(open_accounts(3, "later"), 10))
        head = order_everything()
        wait_for(lambda: positions()["accounts"] == head, "the others go on")
        assert set(alarms()) == {"search"}
        assert f"event {altered_at}" in alarms()["search"]
    assert {name for name, position in positions().items() if position < head} == {"search"}


def test_an_event_taken_out_of_the_journal_raises_an_alarm() -> None:
    events_of_history()
    change_event_store("DELETE FROM journal WHERE position = 20")
    with projector():
        wait_for(lambda: bool(alarms()), "an alarm")
    assert "position 20" in next(iter(alarms().values()))
    assert max(positions().values()) < 20


def test_an_alarm_stays_while_its_cause_does_and_goes_when_that_is_mended() -> None:
    events = events_of_history()
    first = next(e for e in events if e.event.event_type == "MoneyWithdrawn")
    change = "UPDATE events SET data = data || %s::jsonb WHERE event_id = %s"
    change_event_store(change, '{"amount_minor": 1}', first.event.event_id)
    with projector():
        wait_for(lambda: bool(alarms()), "an alarm")
        # Looked at for longer than it takes to begin a new turn: it must not go on and off.
        seen, pause = set(), threading.Event()
        for _ in range(200):
            seen.add(bool(alarms()))
            pause.wait(0.01)
        assert seen == {True}
        change_event_store(change, orjson.dumps(first.event.data).decode(), first.event.event_id)
        wait_until_applied()
        wait_for(lambda: alarms() == {}, "no alarm")
    assert_read_model_is_right()
