"""A batch's rows as the arrays that `unnest` takes, one for each column, encoded as the wire carries them.

psycopg looks an adapter up for every value of every row, which was as much work as making the rows. What a column
holds is read off its cast in the statement, so the two cannot disagree; what is not encoded here psycopg adapts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from struct import error as StructError  # noqa: N812 (named as an exception is)
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from ledger.store import wire

_CAST = re.compile(r"%b::(\w+)\[\]")
_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "bigint": wire.bigints,
    "text": wire.texts,
    "timestamptz": wire.instants,
    "uuid": wire.uuids,
}
# Of these a value may be absent. Not asked of the others, because a UUID takes long to compare with None.
_NULLABLE = ("text", "timestamptz")


class Encoded(bytes):
    """An array that is encoded already; the cast in the statement says of what."""


class _AsItIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: Encoded) -> Encoded:
        return obj


psycopg.adapters.register_dumper(Encoded, _AsItIs)


def arrays(statement: str, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the parameters of a statement whose `%b::type[]` take the columns of the rows, one row at least.

    Raises: ValueError, TypeError or AttributeError for a value that its column cannot hold.
    """
    columns = zip(*rows, strict=True)
    return [_encoded(type_, column) for type_, column in zip(_types(statement), columns, strict=True)]


@lru_cache(maxsize=64)
def _types(statement: str) -> tuple[str, ...]:
    return tuple(_CAST.findall(statement))


def _encoded(type_: str, values: tuple[Any, ...]) -> Encoded | list[Any]:
    encode = _ENCODERS.get(type_)
    if encode is None or (type_ in _NULLABLE and None in values):
        return list(values)
    try:
        return Encoded(encode(values))
    except StructError as error:
        raise ValueError(f"a {type_} cannot hold one of these: {error}") from error
