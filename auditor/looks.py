"""Looks written from the event loop: those that come together in one statement, and no thread between.

An API call that shows somebody something waits here until its look is committed. Through the ORM, in a thread, that was
more work than all the rest of a `balance-at` (ADR 16). Here one prepared statement goes out, and what arrives before it
is answered goes with the next one, so that calls share the wait for the disk.
"""

from __future__ import annotations

import asyncio
import atexit
from datetime import datetime
from typing import NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from django.db import OperationalError, connections

from auditor.threads import in_thread
from ledger.store.connection import parameters_of
from ledger.store.prepared import StoreConnection
from ledger.store.rounds import Round

ALIAS = "default"
INSERT = """
    INSERT INTO access_log (user_id, kind, subject_id, path, at)
    SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::timestamptz[])
"""
# Of one statement: some 150 KB at most, a few milliseconds of work.
CALLS_PER_STATEMENT_MAX = 250
# What the server may spend on one statement; for a server that is silent there is prepared.ANSWER_MS_MAX.
STATEMENT_MS_MAX = 10_000


class Look(NamedTuple):
    """One row of the access log, in the order of INSERT."""

    user_id: int
    kind: str
    subject_id: str
    path: str
    at: datetime


class _Call(NamedTuple):
    looks: list[Look]
    written: asyncio.Future[None]


async def write(looks: list[Look]) -> None:
    """Return when these are committed. Raises: OperationalError, Django's, when nobody knows that they are."""
    await _writers.setdefault(asyncio.get_running_loop(), _Writer()).write(looks)


class _Writer:
    """One for each event loop: at most one statement under way, and whatever waits for the next."""

    def __init__(self) -> None:
        self._waiting: list[_Call] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, looks: list[Look]) -> None:
        call = _Call(looks, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._task is None:
            # A task, because a caller may leave, and must not take the looks of others along.
            self._task = asyncio.create_task(self._write_all())
        await call.written

    async def _write_all(self) -> None:
        while taken := self._waiting[:CALLS_PER_STATEMENT_MAX]:
            del self._waiting[:CALLS_PER_STATEMENT_MAX]
            error = await _try_to_insert(taken)
            if error is not None and not isinstance(error, OperationalError):
                # One of them is wrong: its user is gone, say. None of the others may suffer for that.
                errors = [await _try_to_insert([call]) for call in taken]
            else:
                errors = [error] * len(taken)
            for call, failed in zip(taken, errors, strict=True):
                if not call.written.done():  # its caller has left
                    call.written.set_result(None) if failed is None else call.written.set_exception(failed)
        self._task = None


async def _try_to_insert(calls: list[_Call]) -> Exception | None:
    """Write looks in one transaction. What goes wrong is returned, because it belongs to those who wait."""
    try:
        await _insert([look for call in calls for look in call.looks])
    except psycopg.OperationalError as error:
        ours = OperationalError("the access log cannot be written")
        ours.__cause__ = error
        return ours
    except Exception as error:
        return error
    return None


async def _insert(looks: list[Look]) -> None:
    asked = Round()
    asked.execute(INSERT, list(zip(*looks, strict=True)))
    connection = _kept.pop() if _kept else None
    if connection is not None and not _is_usable(connection):
        connection.close()
        connection = None
    connection = connection or await in_thread(_connect)
    try:
        await asked.run_in_loop(connection)
    finally:
        if not connection.closed:
            _kept.append(connection)


def _is_usable(connection: StoreConnection) -> bool:
    """Return whether the server has said nothing since its last answer; its end is all it could have said."""
    return not connection.closed and not connection.socket.poll(0)


def _connect() -> StoreConnection:
    connection = StoreConnection.connect(**parameters_of(connections[ALIAS]), autocommit=True)
    connection.execute(f"SET statement_timeout = {STATEMENT_MS_MAX}")
    return connection


_writers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Writer] = WeakKeyDictionary()
# The connections that no statement is under way on: one for each loop, and a process that serves has one.
_kept: list[StoreConnection] = []


@atexit.register
def close() -> None:
    """Let the connections go."""
    while _kept:
        _kept.pop().close()
