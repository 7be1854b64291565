"""Lets a verification read on where Python cannot hold a stored value: an infinite instant, a number of 400 digits.

No command writes one, so it is an alteration, and the event that holds it has another hash: what stands in for it is
of no interest, as long as the fault is named in its place. Reading like this costs more, so it is done only when
reading as usual has failed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzBinaryLoader, TimestamptzLoader
from psycopg.types.json import set_json_loads

ERRORS = (psycopg.DataError, orjson.JSONDecodeError)
# Neither the first instant nor the last there is: some time is added to them and taken away.
STAND_IN = datetime(9000, 1, 1, tzinfo=UTC)


class _AnyText(TimestamptzLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            return STAND_IN


class _AnyBinary(TimestamptzBinaryLoader):
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            return STAND_IN


def read_json(text: str | bytes) -> Any:
    """Return a JSON value; None for what cannot be read, which is no object either."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def read_anything(conn: psycopg.Connection[Any]) -> None:
    """Have a connection give a stand-in for whatever it could not read."""
    for loader in (_AnyText, _AnyBinary):
        conn.adapters.register_loader("timestamptz", loader)
    set_json_loads(read_json, conn)
