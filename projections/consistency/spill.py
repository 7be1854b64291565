"""A dictionary that holds its newest entries in memory and the rest in a temporary file.

What a fold has to remember grows with the accounts, not with the events; this bounds what of it is in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import orjson

V = TypeVar("V")
# Some 100 MB of account states.
KEPT_MAX = 100_000


class Spill(Generic[V]):
    """Keys are texts. `encode` and `decode` turn a value into JSON values and back."""

    def __init__(self, encode: Callable[[V], object], decode: Callable[..., V], kept_max: int = KEPT_MAX) -> None:
        self._encode, self._decode, self._kept_max = encode, decode, kept_max
        self._kept: dict[str, V] = {}
        # The empty name is a database of its own in a temporary file, gone with the connection.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get(self, key: str) -> V | None:
        if key in self._kept:
            return self._kept[key]
        row = self._file.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._decode(orjson.loads(row[0]))

    def put(self, key: str, value: V) -> None:
        self._kept[key] = value
        if len(self._kept) > self._kept_max:
            self._move_out(self._kept_max // 2)

    def pop(self, key: str) -> V | None:
        value = self.get(key)
        self._kept.pop(key, None)
        self._file.execute("DELETE FROM entries WHERE key = ?", (key,))
        return value

    def chunks(self, size: int) -> Iterator[dict[str, V]]:
        """Yield all entries, so many at a time, in the order of their keys."""
        self._move_out(len(self._kept))
        after = ""
        while rows := self._file.execute(
            "SELECT key, value FROM entries WHERE key > ? ORDER BY key LIMIT ?", (after, size)
        ).fetchall():
            yield {key: self._decode(orjson.loads(value)) for key, value in rows}
            after = rows[-1][0]

    def close(self) -> None:
        self._file.close()

    def _move_out(self, number: int) -> None:
        """Write the entries that were put longest ago into the file."""
        oldest = list(self._kept)[:number]
        self._file.execute("BEGIN")
        self._file.executemany(
            "INSERT OR REPLACE INTO entries VALUES (?, ?)",
            [(key, orjson.dumps(self._encode(self._kept.pop(key)))) for key in oldest],
        )
        self._file.execute("COMMIT")
