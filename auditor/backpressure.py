"""Keeps a client that reads slowly from filling this process's memory.

Daphne takes every message at once and buffers it without a limit; whoever sends must look at what is still
waiting: the websockets do so themselves, streamed answers through `patient`. Daphne hands an application `send`
as a partial of its own method and the connection's protocol, and that leads to the transport. On a server whose
`send` waits by itself there is nothing to look at.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from twisted.internet.abstract import FileDescriptor

WAITING_BYTES_MAX = 512 * 1024  # two full frames
CHECK_S = 0.05


class Backpressure:
    def __init__(self, send: Any) -> None:
        protocol = send.args[0] if isinstance(send, partial) and send.args else None
        self._protocol = protocol

    async def relieved(self) -> None:
        """Return when so little waits for the client that it can be sent more."""
        while self.waiting_bytes() > WAITING_BYTES_MAX:  # noqa: ASYNC110
            await asyncio.sleep(CHECK_S)  # a socket's buffer tells nobody when it empties

    def waiting_bytes(self) -> int:
        transport = getattr(self._protocol, "transport", None)
        while transport is not None and not isinstance(transport, FileDescriptor):
            transport = getattr(transport, "transport", None)
        if transport is None:
            return 0
        # What twisted.internet.abstract.FileDescriptor.doWrite has still to write.
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen


def patient(application: Any) -> Any:
    """Let an ASGI application send the next piece of a streamed answer only when the ones before have left."""

    async def patient_application(scope: Any, receive: Any, send: Any) -> None:
        pressure = Backpressure(send)

        async def send_patiently(message: Any) -> None:
            await send(message)
            if message.get("more_body"):
                await pressure.relieved()

        await application(scope, receive, send_patiently)

    return patient_application
