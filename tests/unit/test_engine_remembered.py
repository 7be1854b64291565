"""The clock that the engine carries on between two answers of the store."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from ledger.engine.remembered import Remembered
from ledger.store.event_store import Head

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_what_a_long_append_was_told_when_it_began_does_not_turn_the_clock_back() -> None:
    memory = Remembered()
    memory.learn({"ann": Head(1)}, NOW)
    memory.learn({"bob": Head(1)}, NOW - timedelta(seconds=3))
    recalled = memory.recall(["ann", "bob"])
    assert recalled is not None
    assert recalled.now >= NOW


def test_a_store_that_is_ahead_is_believed() -> None:
    memory = Remembered()
    memory.learn({"ann": Head(1)}, NOW)
    memory.learn({"ann": Head(2)}, NOW + timedelta(seconds=3))
    recalled = memory.recall(["ann"])
    assert recalled is not None
    assert recalled.now >= NOW + timedelta(seconds=3)


def test_a_clock_that_is_too_old_to_be_used_gives_way_to_one_that_was_told_by_a_slower_append(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, elapsed = Remembered(), timedelta(seconds=2)
    begun_ns = time.monotonic_ns()
    monkeypatch.setattr(time, "monotonic_ns", lambda: begun_ns)
    memory.learn({"ann": Head(1)}, NOW)
    monkeypatch.setattr(time, "monotonic_ns", lambda: begun_ns + elapsed // timedelta(microseconds=1) * 1_000)
    assert memory.recall(["ann"]) is None
    told_at = NOW + elapsed - timedelta(milliseconds=20)  # under load: heard some time after it was told
    memory.learn({"ann": Head(2)}, told_at)
    recalled = memory.recall(["ann"])
    assert recalled is not None, "or nothing is recalled any more, just when there is much to do"
    assert recalled.now == told_at
