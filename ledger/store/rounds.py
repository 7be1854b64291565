"""Rounds: statements that travel together, for those who send the same handful all day.

The relay and the projector send a few statements for every batch, and a live batch is an event or two. What
psycopg's own pipeline does around them (an adapter for every value, a wake-up of the server for every statement)
was most of their work (ADR 9). Here the statements of a round are prepared once for a connection, their values are
packed by hand, and the server hears of them when all are there (`ledger.store.pipeline`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import Transformer

from ledger.store import wire
from ledger.store.pipeline import Pipeline
from ledger.store.prepared import BINARY, TEXT, Statement, StoreConnection

BEGIN, COMMIT = "BEGIN", "COMMIT"
# An array of a type that is named (`%b::text[]`), or a scalar whose type follows from where it stands.
_PARAMETER = re.compile(r"%b::(\w+)\[\]|%s")


class Compiled(NamedTuple):
    """A statement as the server takes it, and how its parameters are packed."""

    statement: Statement
    packers: tuple[Callable[[Any], bytes], ...]
    formats: tuple[int, ...]


class Round:
    """One round trip. `execute` takes what a cursor takes and queues it; `run` sends it all, once, and waits."""

    def __init__(self) -> None:
        self._calls: list[tuple[Compiled, list[bytes]] | None] = []  # None: a transaction's end

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> None:
        """Queue a statement. Raises: psycopg.DataError for a value that its type cannot hold."""
        call = compiled(query)
        try:
            packed = zip(call.packers, call.formats, parameters, strict=True)
            # Bytes where an array belongs are one that is encoded already.
            values = [v if format_ == BINARY and isinstance(v, bytes) else pack(v) for pack, format_, v in packed]
        except struct.error as error:
            raise psycopg.DataError(str(error)) from error
        self._calls.append((call, values))

    def settle(self) -> None:
        """End the transaction of what is queued so far: what follows sees all that had committed by then.

        **Why**: on CockroachDB the statements of one transaction see the store as it was when the first began.
        """
        self._calls.append(None)

    def run(self, connection: StoreConnection) -> list[Any]:
        """Return the result of each statement. Raises: the psycopg error of the first that failed."""
        return self._sent(connection).results()

    async def run_in_loop(self, connection: StoreConnection) -> list[Any]:
        """Do the same in an event loop."""
        return await self._sent(connection).results_in_loop()

    def _sent(self, connection: StoreConnection) -> Pipeline:
        pipeline = Pipeline(connection)
        for queued in self._calls:
            if queued is None:
                pipeline.sync()
            else:
                call, values = queued
                pipeline.send(call.statement, values, call.formats, BINARY)
        pipeline.sync()
        return pipeline


def rows(connection: psycopg.Connection[Any], result: Any) -> list[tuple[Any, ...]]:
    """Return a result's rows with the values that a cursor of this connection would give."""
    transformer = Transformer.from_context(connection)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


@lru_cache(maxsize=128)
def compiled(query: str) -> Compiled:
    """Return a statement with `%b::type[]` for arrays and `%s` for scalars in the form the server takes."""
    number, packers, formats = count(1), [], []

    def numbered(found: re.Match[str]) -> str:
        element = found[1]
        pack, format_ = _ARRAYS[element] if element else (_scalar, TEXT)
        packers.append(pack)
        formats.append(format_)
        return f"${next(number)}" + (f"::{element}[]" if element else "")

    text = _PARAMETER.sub(numbered, query).encode()
    name = b"round_" + sha256(text).hexdigest()[:16].encode()
    return Compiled(Statement(name, text), tuple(packers), tuple(formats))


def _scalar(value: Any) -> bytes:
    match value:
        case bytes():
            return wire.binary(value)
        case datetime():
            return wire.instant(value)
        case _:
            return str(value).encode()


def _literal(values: Sequence[Any]) -> bytes:
    """Return an array as text; its elements need no quotes."""
    return ("{" + ",".join(map(str, values)) + "}").encode()


def _booleans(values: Sequence[bool]) -> bytes:
    return _literal(["t" if value else "f" for value in values])


def _numbers(values: Sequence[int]) -> bytes:
    return _literal([format(value, "d") for value in values])  # refuses what is no integer


def _texts(values: Sequence[str | None]) -> bytes:
    return wire.nullable_texts(values) if None in values else wire.texts(values)  # type: ignore[arg-type]


def _instants(values: Sequence[datetime | None]) -> bytes:
    return wire.nullable_instants(values) if None in values else wire.instants(values)  # type: ignore[arg-type]


_ARRAYS: dict[str, tuple[Callable[[Any], bytes], int]] = {
    "text": (_texts, BINARY),
    "timestamptz": (_instants, BINARY),
    "uuid": (wire.uuids, BINARY),
    "bytea": (wire.binaries, BINARY),
    "bigint": (wire.bigints, BINARY),
    "int4": (wire.integers, BINARY),  # not `int`, which CockroachDB takes for int8
    "bool": (_booleans, TEXT),
    "date": (_literal, TEXT),
    "numeric": (_numbers, TEXT),
}
