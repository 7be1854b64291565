"""The window that lag is measured in: a minute of batches, and nothing said of none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from projections.lag import WINDOW_S, LagWindow


def test_nothing_is_said_of_a_minute_without_a_batch() -> None:
    now_s = 0.0
    window = LagWindow(lambda: now_s)
    assert window.measured() is None, "a projector that has just started takes back nothing that is told"
    window.note(datetime.now(UTC) - timedelta(seconds=2))
    now_s = 1.0
    measured = window.measured()
    assert measured is not None
    assert 2_000 <= measured.p50_ms <= measured.p99_ms < 60_000
    now_s = 2.0 + WINDOW_S
    assert window.measured() is None
