"""A gate in front of the engine, for tests of what happens while it is at work."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ledger.engine import batching
from ledger.engine import execute as engine
from ledger.engine.execute import execute, execute_in_one_transaction
from ledger.engine.submission import Outcome, Submission


async def take_a_thread(*_: Any) -> None:
    """Stand in for `execute_in_loop` as if memory were never enough."""


class Gate:
    """Stands in front of the engine: counts its calls and, while closed, keeps the writer in one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.defect: Exception = RuntimeError("a defect")
        monkeypatch.setattr(engine, "execute_in_one_transaction", self._fall_over)
        monkeypatch.setattr(batching, "execute", self._execute)
        monkeypatch.setattr(batching, "execute_in_loop", take_a_thread)

    def _execute(self, submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        self.sizes.append(len(submissions))
        self.entered.set()
        assert self.opened.wait(30)
        return execute(submissions, **options)

    def _fall_over(self, submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        if any(s.actor == "poison" for s in submissions):
            raise self.defect
        return execute_in_one_transaction(submissions, **options)
