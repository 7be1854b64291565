"""The websocket from outside: order, resuming, filters, who may, and clients that do not keep up."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from chronicle.stack.ports import LOOPBACK
from ledger.store import journal
from tests.browser.live_system import LiveSystem
from tests.browser.money import deposit, deposit_over_http, new_account, settled
from tests.browser.sockets import WAIT_S, events_up_to, following, next_frame, refusal
from tests.waiting import wait_for

EVENTS_OWED, SLEEPERS = 12_000, 6


def positions(events: list[dict[str, Any]]) -> list[int]:
    return [event["position"] for event in events]


def test_events_come_in_position_order_from_after_plus_one_and_then_live(live_system: LiveSystem) -> None:
    account = new_account()
    deposit(account, 450)
    head = settled()
    with following(live_system, "?after=0") as line:
        events = events_up_to(line, head)
        assert positions(events) == list(range(1, head + 1))
        deposit(account, 3)
        assert positions(events_up_to(line, head + 3)) == [head + 1, head + 2, head + 3]


def test_without_after_only_what_is_new_comes(live_system: LiveSystem) -> None:
    account = new_account()
    head = settled()
    with following(live_system) as line:
        next_frame(line, "status")
        deposit(account)
        assert positions(events_up_to(line, head + 1)) == [head + 1]


def test_a_deposit_made_over_http_arrives_as_the_envelope_the_api_gives(live_system: LiveSystem) -> None:
    account = new_account()
    settled()
    with following(live_system, f"?aggregate_id={account}") as line:
        next_frame(line, "status")
        answer = deposit_over_http(live_system, account, "12.34")
        (event,) = next_frame(line, "events")["events"]
    assert event["event_id"] == answer["event_id"]
    assert event["data"]["amount_minor"] == 1234
    assert event["state"]["balance_minor"] == 1234
    assert event["running_hash"] == journal.read(event["position"] - 1, 1)[0].running_hash.hex()


def test_resuming_by_position_repeats_and_skips_nothing(live_system: LiveSystem) -> None:
    account = new_account()
    start = settled()
    deposit(account, 300)
    seen: list[int] = []
    while len(seen) < 300:
        # Whatever has come in one frame; then the line is cut without a word.
        with following(live_system, f"?after={seen[-1] if seen else start}") as line:
            seen += positions(next_frame(line, "events")["events"])
            line.socket.shutdown(socket.SHUT_RDWR)
    assert seen == list(range(start + 1, start + 301))


@pytest.mark.parametrize("after", ["beginning", "head"])
def test_filters_let_through_their_own_events_only(live_system: LiveSystem, after: str) -> None:
    wanted, other = new_account(), new_account()
    head = settled()
    query = f"?after={0 if after == 'beginning' else head}&aggregate_id={wanted}&event_type=MoneyDeposited"
    with following(live_system, query) as line:
        next_frame(line, "status")
        deposit(other, 5)
        deposit(wanted, 2)
        deposit(other, 5)
        deposit(wanted, 1)
        events = events_up_to(line, settled())
    assert [event["aggregate_id"] for event in events] == [wanted] * 3
    assert {event["event_type"] for event in events} == {"MoneyDeposited"}
    assert positions(events) == sorted(positions(events))


@pytest.mark.parametrize("after", ["beginning", "head"])
def test_amounts_and_texts_are_compared_by_the_server(live_system: LiveSystem, after: str) -> None:
    wanted, other = new_account("JPY"), new_account("USD")
    head = settled()
    query = f"?after={0 if after == 'beginning' else head}&min_amount=99.5&max_amount=1000&text={wanted.upper()}"
    with following(live_system, query) as line:
        next_frame(line, "status")
        for account in (wanted, other):
            for amount in ("99", "100", "1000", "1001"):
                deposit(account, amount=amount)
        events = events_up_to(line, settled() - 5)
    # Whole yen: the amount is compared in the currency's own units, not in its smallest.
    assert [(event["aggregate_id"], event["data"]["amount_minor"]) for event in events] == [
        (wanted, 100),
        (wanted, 1000),
    ]


def test_a_status_says_how_far_a_filter_has_come_though_nothing_matched(live_system: LiveSystem) -> None:
    account = new_account()
    with following(live_system, "?after=0&text=nobody-says-this") as line:
        deposit(account, 1_500)
        head = settled()
        wait_for(lambda: next_frame(line, "status")["position"] == head, "the place of a filter that matches nothing")


def test_a_status_never_counts_what_has_not_been_sent(live_system: LiveSystem) -> None:
    account = new_account()
    head = settled()
    deposit(account, 3_000)
    seen = head
    with following(live_system, f"?after={head}") as line:
        end = settled()
        while seen < end:
            frame = json.loads(line.recv(timeout=WAIT_S))
            if frame["kind"] == "events":
                seen = frame["events"][-1]["position"]
            else:
                assert frame["position"] <= seen


def test_a_status_comes_each_second_with_the_head_and_every_projection(live_system: LiveSystem) -> None:
    account = new_account(balance="5.00")
    head = settled()
    with following(live_system, "?only=status") as line:

        def is_current() -> bool:
            status = next_frame(line, "status")
            return status["head_position"] == head and status["lag_events"] == 0

        wait_for(is_current, "a status of current read models")
        deposit(account)
        status, came_at = next_frame(line, "status"), []
        for _ in range(5):
            next_frame(line, "status")
            came_at.append(time.monotonic())
    # Of a crowded machine one or the other comes late.
    assert min(later - sooner for sooner, later in pairwise(came_at)) < 3.0
    assert {projection["name"] for projection in status["projections"]} >= {"accounts", "transactions", "transfers"}
    assert status["is_balanced"] is not False
    assert status["unavailable"] == []
    assert next(total for total in status["totals"] if total["currency"] == "USD")["formatted"].startswith("$")


@pytest.mark.parametrize(
    "query",
    [
        "?after=-1",
        "?after=ten",
        "?after=99999999999",
        "?event_type=Nothing",
        "?aggregate_id=a%20b",
        "?only=me",
        "?min_amount=-1",
        "?max_amount=1e3",
        "?min_amount=%C2%BD",
        "?text=" + "x" * 201,
        "?afte=1",
    ],
)
def test_parameters_that_mean_nothing_are_refused(live_system: LiveSystem, query: str) -> None:
    with following(live_system, query) as line:
        assert refusal(line) == (4400, "bad_parameters")


def test_nobody_follows_without_signing_in(live_system: LiveSystem) -> None:
    with connect(live_system.websocket_url, origin=live_system.url) as line:  # type: ignore[arg-type]
        assert refusal(line) == (4401, "not_signed_in")
    with connect(live_system.websocket_url, additional_headers={"Authorization": "Token " + "0" * 64}) as line:
        assert refusal(line) == (4401, "not_signed_in")


@pytest.mark.parametrize("origin", [None, "http://elsewhere.example"])
def test_a_page_of_another_origin_is_turned_away_at_the_door(live_system: LiveSystem, origin: Any) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(live_system.websocket_url, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_events_go_on_while_the_relay_stands_still_and_come_when_it_is_back(live_system: LiveSystem) -> None:
    account = new_account()
    head = settled()
    with following(live_system, f"?after={head}") as line:
        live_system.stop_process("relay", signal.SIGKILL)
        deposit(account, 5)
        live_system.start_process("relay")
        assert positions(events_up_to(line, head + 5)) == list(range(head + 1, head + 6))


def test_clients_that_do_not_read_cost_no_memory_and_hold_nobody_up(live_system: LiveSystem) -> None:
    account = new_account()
    deposit(account, EVENTS_OWED)
    head = settled()
    web = psutil.Process(live_system.pid("web"))
    with following(live_system, "?after=0") as reader:  # so that the feed's own list is full before it is measured
        events_up_to(reader, head)
        before = web.memory_info().rss
        with ExitStack() as sleepers:
            for _ in range(SLEEPERS):
                sleepers.enter_context(_sleeping(live_system))
            with following(live_system, "?after=0") as other:
                assert len(events_up_to(other, head)) == head
            deposit(account)
            assert positions(events_up_to(reader, head + 1)) == [head + 1]
            grown = web.memory_info().rss - before
    # Each sleeper is owed some 15 MB, of which the kernel takes 4 at most and this process half of one.
    assert grown < SLEEPERS * 4 * 2**20


@contextmanager
def _sleeping(system: LiveSystem) -> Iterator[None]:
    """A client that asks for everything and then reads nothing, with a small window of its own."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((LOOPBACK, system.port))
    with following(system, "?after=0", sock=plain, max_queue=1, ping_interval=None, close_timeout=0):
        yield
