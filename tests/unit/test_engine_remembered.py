"""The clock that the engine carries on between two answers of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
