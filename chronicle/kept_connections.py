"""Django's connections in threads that live as long as the process: kept, and looked at before each use.

With CONN_HEALTH_CHECKS Django asks the server `SELECT 1` before the first query of whatever it takes for a new request:
for a call of the API that is a round trip beside the one or two that it needs. A server that is gone has closed its
socket, which is seen here without asking. What no socket tells, a server that vanished without a word, is asked for
once in `ASK_AGAIN_S`.
"""

from __future__ import annotations

import select
import threading
import time

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Longer than a busy thread rests between two calls; no longer than a failure may stay unnoticed that no socket shows.
ASK_AGAIN_S = 1.0


class _Asked(threading.local):
    """When each of this thread's connections was last left to be asked, by alias."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}


_asked = _Asked()


def look_after() -> None:
    """Do what Django does between two requests for this thread's connections, and ask the server only in doubt."""
    for connection in connections.all(initialized_only=True):
        # The type: django-stubs lacks this attribute of BaseDatabaseWrapper.
        is_known_good = connection.health_check_done and _is_silent(connection)  # type: ignore[attr-defined]
        connection.close_if_unusable_or_obsolete()
        now = time.monotonic()
        if is_known_good and now - _asked.at.get(connection.alias, -ASK_AGAIN_S) < ASK_AGAIN_S:
            connection.health_check_done = True  # type: ignore[attr-defined]
        else:
            _asked.at[connection.alias] = now


def _is_silent(wrapper: BaseDatabaseWrapper) -> bool:
    """Return whether nothing has come from the server since its last answer, as its end would."""
    connection = wrapper.connection
    if connection is None or connection.closed:
        return False
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    return not socket.poll(0)
