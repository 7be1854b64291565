"""A proxy in front of the event store that breaks things at named points of the wire protocol.

It understands just enough of PostgreSQL's protocol (which CockroachDB speaks too) to see whole requests: the
messages up to a Sync. Each request is shown to `fault_for`, which may have it cut off before the server sees
it, while the server works on it, after the server has answered, or answered with 40001 without being asked.
Protocol: https://www.postgresql.org/docs/current/protocol-flow.html
"""

from __future__ import annotations

import asyncio
import enum
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ledger.store import connection, prepared

START_TIMEOUT_S = 10
ANSWER_MS_MAX = 500


class Fault(enum.Enum):
    CUT_BEFORE = "the server never sees the request"
    SILENCE = "the server never sees the request, and the connection stays"
    CUT_DURING = "the server has the request, and the connection is gone while it works"
    CUT_AFTER = "the server has committed, and the answer is lost"
    SERIALIZATION_FAILURE = "the server answers 40001"


FaultFor = Callable[[bytes], Fault | None]


class FaultyServer:
    """Listens on a loopback port; runs on an event loop in a thread of its own."""

    def __init__(self, upstream: dict[str, Any]) -> None:
        self._upstream = upstream
        self.fault_for: FaultFor = lambda request: None
        self.injected: list[Fault] = []
        self._clients: set[asyncio.StreamWriter] = set()
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[FaultyServer]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), loop).result(
            START_TIMEOUT_S
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(server), loop).result(START_TIMEOUT_S)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(START_TIMEOUT_S)
            loop.close()

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for client_out in self._clients:
            client_out.close()
        while self._clients:
            await asyncio.sleep(0)

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_in, server_out = await self._connect()
        answers = _Answers(server_in, client_out)
        pump = asyncio.create_task(answers.pump())
        self._clients.add(client_out)
        try:
            server_out.write(await _read_startup(client_in))
            while True:
                request = await _read_request(client_in)
                fault = self.fault_for(request)
                if fault is None:
                    server_out.write(request)
                    continue
                self.injected.append(fault)
                if fault is Fault.SERIALIZATION_FAILURE:
                    client_out.write(_serialization_failure())
                    continue
                if fault is Fault.SILENCE:
                    await client_in.read()
                    return
                if fault is not Fault.CUT_BEFORE:
                    answers.are_lost = True
                    server_out.write(request)
                    await server_out.drain()
                if fault is Fault.CUT_AFTER:
                    await answers.completed.wait()
                return
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # one side hung up, as connections do
        finally:
            pump.cancel()
            client_out.close()
            server_out.close()
            self._clients.discard(client_out)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._upstream["host"], int(self._upstream.get("port") or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


async def _read_startup(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack("!I", head)[0] - 4)


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """Return the messages up to one that asks for an answer: Sync, Flush, a simple query, a password, the end."""
    request = b""
    while True:
        message = await _read_message(reader)
        request += message
        if message[:1] in b"SHQXp":
            return request


class _Answers:
    """Passes the server's messages on as they come, until they are to be lost."""

    def __init__(self, server_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        self._server_in, self._client_out = server_in, client_out
        self.are_lost = False
        self.completed = asyncio.Event()  # a ReadyForQuery arrived after the answers were to be lost

    async def pump(self) -> None:
        try:
            while True:
                message = await _read_message(self._server_in)
                if not self.are_lost:
                    self._client_out.write(message)
                elif message[:1] == b"Z":
                    self.completed.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.completed.set()
            self._client_out.close()


def _serialization_failure() -> bytes:
    body = b"SERROR\0VERROR\0C40001\0Mrestart transaction: injected\0\0"
    error = b"E" + struct.pack("!I", len(body) + 4) + body
    ready_for_query = b"Z" + struct.pack("!I", 5) + b"I"
    return error + ready_for_query


def is_append(request: bytes) -> bool:
    """Tell whether a request executes the engine's append: its statement has been prepared under a name."""
    return request[:1] == b"B" and b"\0append_" in request[:64]


@contextmanager
def faulty_event_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """Put the proxy between the engine and the real event store."""
    direct = connection.parameters()
    with FaultyServer(direct).running() as server:
        through = {**direct, "host": "127.0.0.1", "port": server.port, "sslmode": "disable", "gssencmode": "disable",
                   "prepare_threshold": None}  # fmt: skip
        connection.close_pool()
        monkeypatch.setattr(connection, "parameters", lambda: through)
        # Whoever is kept waiting in silence gives up sooner than in life.
        monkeypatch.setattr(prepared, "ANSWER_MS_MAX", ANSWER_MS_MAX)
        try:
            yield server
        finally:
            connection.close_pool()
            monkeypatch.undo()
