"""From the commit of an event to the screen of somebody who watches the live page, in a real Chromium.

The time begins with the event's `recorded_at`, which is before its commit, and ends when the frame with its row has
been painted; both by the clock of the one machine. Deposits come in over HTTP meanwhile, as in production through the
web process that serves the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.urls import reverse

from chronicle.bench.http_load import at_rate
from chronicle.bench.report import Figure
from ledger.store import journal
from ledger.store.connection import connection

ON_SCREEN_P95_MS_MAX = 250
# One at a time, as an operator works; and as many as the portal must bear: a rate with its number of events.
LOADS = ((5, 220), (100, 1_020))
CONNECTIONS = 16
WARM_UP_EVENTS = 20

# Notes for each row when the frame that shows it had been painted, in milliseconds since 1970.
WATCH = """
() => {
  window.benchRows = {};
  new MutationObserver((changes) => {
    const added = changes.flatMap((change) => [...change.addedNodes]).filter((node) => node.dataset?.position);
    requestAnimationFrame(() => setTimeout(() => {
      const at = performance.timeOrigin + performance.now();
      for (const row of added) window.benchRows[row.dataset.position] ??= at;
    }));
  }).observe(document.getElementById("live-rows"), { childList: true });
}
"""


def on_screen(context: Any, port: int, deposit: Callable[[int], bytes]) -> Iterable[Figure]:
    """Watch the live page while deposits come in at every rate."""
    for per_s, events in LOADS:
        page = context.new_page()
        page.goto(reverse("admin:live"))
        page.wait_for_selector("#live-rows .ledger-row")
        page.wait_for_selector("[data-state=live]")
        page.evaluate(WATCH)
        before = journal.head().position
        load = at_rate(port, CONNECTIONS, per_s, events, 201, deposit)
        # In a thread of its own, because Playwright keeps an event loop running in this one.
        with ThreadPoolExecutor(1) as thread:
            kept_per_s = thread.submit(asyncio.run, load).result()
        page.wait_for_function("(last) => last in window.benchRows", arg=str(before + events))
        painted = page.evaluate("window.benchRows")
        page.close()
        recorded = recorded_after(before)
        missing = [position for position in recorded if str(position) not in painted]
        assert not missing, f"{len(missing)} events never came on the screen"
        taken = [painted[str(position)] - at for position, at in recorded.items()][WARM_UP_EVENTS:]
        yield from _figures(per_s, kept_per_s, sorted(taken))


def _figures(per_s: int, kept_per_s: float, ms: list[float]) -> list[Figure]:
    name = f"recorded to painted on the live page, {len(ms)} events at {per_s}/s"
    p50, p95 = (ms[int(share * len(ms))] for share in (0.5, 0.95))
    return [
        Figure(f"{name}, p50", "ms", None, (p50, ms[0], ms[-1])),
        Figure("the rate that was kept", "events/s", 0.95 * per_s, (kept_per_s, kept_per_s, kept_per_s)),
        Figure(f"{name}, p95", "ms", ON_SCREEN_P95_MS_MAX, (p95, ms[0], ms[-1]), lower_is_better=True),
    ]


def recorded_after(position: int) -> dict[int, float]:
    """Return when each event beyond a position was recorded, in milliseconds since 1970."""
    query = """
        SELECT j.position, extract(epoch FROM e.recorded_at) * 1000
        FROM journal AS j JOIN events AS e ON e.aggregate_id = j.aggregate_id AND e.version = j.version
        WHERE j.position > %s ORDER BY j.position
    """
    with connection() as conn:
        return {row[0]: float(row[1]) for row in conn.execute(query, (position,)).fetchall()}
