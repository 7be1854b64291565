"""Lag: from recorded_at to visible, per batch, as percentiles over the last minute.

What counts for a batch is its oldest event, so a percentile never looks better than what a reader saw.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

WINDOW_S = 60.0
# Percentiles are sorted out at most this often; a batch can be as short as a millisecond.
REFRESH_S = 0.5
SAMPLES_MAX = 60_000  # a thousand batches a second


@dataclass(frozen=True, slots=True)
class Percentiles:
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0


class LagWindow:
    """For several threads: one applies a batch while another makes the statements of the next, which tell the lag."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MAX)
        self._percentiles = Percentiles()
        self._refreshed_at = float("-inf")
        self._lock = Lock()

    def note(self, recorded_at: datetime) -> None:
        """Count a batch that has just become visible, by its oldest event."""
        lag_ms = max(0.0, (datetime.now(UTC) - recorded_at).total_seconds() * 1000)
        with self._lock:
            self._samples.append((self._monotonic(), lag_ms))

    def measured(self) -> Percentiles | None:
        """Return the percentiles of the last minute; None when no batch became visible in it."""
        percentiles = self.percentiles()
        with self._lock:
            return percentiles if self._samples else None

    def percentiles(self) -> Percentiles:
        with self._lock:
            now = self._monotonic()
            if now - self._refreshed_at >= REFRESH_S:
                self._refreshed_at = now
                while self._samples and self._samples[0][0] < now - WINDOW_S:
                    self._samples.popleft()
                lags = sorted(lag_ms for _, lag_ms in self._samples)
                self._percentiles = Percentiles(*(_at(lags, share) for share in (0.50, 0.95, 0.99)))
            return self._percentiles


def _at(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile; 0 of nothing."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0
