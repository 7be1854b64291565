"""Connections whose cursors do not wait without end for a server that says nothing.

What libpq and the kernel can notice is bounded where a database's URL is read (`chronicle.databases`): a host that is
gone. A server that hangs still acknowledges every packet; only whoever waits can give up on it.
"""

from __future__ import annotations

from typing import Any

import psycopg

WAKE_S = 0.1  # psycopg's own: after it a signal is noticed


class BoundedConnection(psycopg.Connection[Any]):
    def longest_wait_s(self) -> float | None:
        """Return for how long one answer is waited for; None: without end."""
        return None

    def wait(self, gen: Any, interval: float = WAKE_S, timeout: float | None = None) -> Any:
        """Raises: psycopg.OperationalError after the longest wait; the connection is of no use then."""
        if timeout is not None or (longest_s := self.longest_wait_s()) is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, longest_s)
        except psycopg.errors._WaitTimeout as error:
            self.close()
            raise psycopg.OperationalError(f"no answer within {longest_s:g} s") from error
