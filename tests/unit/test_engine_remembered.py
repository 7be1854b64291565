"""The clock that the engine carries on between two answers of the store."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from ledger.engine import remembered
from ledger.engine.remembered import CLOCK_NS_MAX, DISTRUST_NS, Remembered
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


def test_a_clock_that_is_used_up_is_set_again_by_an_answer_that_took_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_ns = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: passed_ns[0])
    memory = Remembered()
    memory.learn({"ann": Head(1)}, NOW)
    passed_ns[0] = CLOCK_NS_MAX + 1
    assert memory.recall(["ann"]) is None
    memory.learn({"ann": Head(2)}, NOW + timedelta(microseconds=CLOCK_NS_MAX // 1_000 - 500))
    recalled = memory.recall(["ann"])
    assert recalled is not None
    assert recalled.now == NOW + timedelta(microseconds=CLOCK_NS_MAX // 1_000 - 500)


def test_what_somebody_else_writes_to_is_not_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_ns = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: passed_ns[0])
    memory = Remembered()
    memory.learn({"ann": Head(1), "bob": Head(1)}, NOW)
    memory.distrust(["ann"])
    assert memory.recall(["bob"]) is not None, "distrust of one account is no distrust of another"
    passed_ns[0] = DISTRUST_NS - 1
    memory.learn({"ann": Head(2)}, NOW)
    assert memory.recall(["ann"]) is None
    passed_ns[0] = DISTRUST_NS
    memory.learn({"ann": Head(3)}, NOW)
    assert memory.recall(["ann"]) is not None


def test_distrust_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "HEADS_MAX", 2)
    memory = Remembered()
    memory.learn({}, NOW)
    memory.distrust(["ann", "bob", "cid"])
    memory.learn({"ann": Head(1)}, NOW)
    memory.learn({"cid": Head(1)}, NOW)
    assert memory.recall(["ann"]) is not None
    assert memory.recall(["cid"]) is None
