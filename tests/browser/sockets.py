"""A websocket client that is not ours, and the frames it gets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.browser.live_system import LiveSystem

WAIT_S = 60.0


@contextmanager
def following(
    server: LiveSystem, query: str = "", who: str | None = "auditor", **options: Any
) -> Iterator[ClientConnection]:
    headers = server.token_header(who) if who else {}
    with connect(
        f"{server.websocket_url}{query}", additional_headers=headers, max_size=None, open_timeout=WAIT_S, **options
    ) as socket:
        yield socket


def next_frame(socket: ClientConnection, kind: str, timeout_s: float = WAIT_S) -> dict[str, Any]:
    """Return the next frame of a kind, passing over the others."""
    deadline = time.monotonic() + timeout_s
    while True:
        frame: dict[str, Any] = json.loads(socket.recv(timeout=max(0.0, deadline - time.monotonic())))
        if frame["kind"] == kind:
            return frame
        assert frame["kind"] != "error", frame


def events_up_to(socket: ClientConnection, position: int, timeout_s: float = WAIT_S) -> list[dict[str, Any]]:
    """Return events until one at or beyond a position has come."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["position"] < position:
        found += next_frame(socket, "events", timeout_s)["events"]
    return found


def refusal(socket: ClientConnection) -> tuple[int, str]:
    """Return the close code and the error frame's code of a connection that is refused."""
    frame = json.loads(socket.recv(timeout=WAIT_S))
    assert frame["kind"] == "error", frame
    assert frame["error"].strip(), "the error says something"
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=WAIT_S)
    assert closed.value.rcvd is not None, "the server closed it"
    return closed.value.rcvd.code, frame["code"]
