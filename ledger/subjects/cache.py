"""A bounded cache that can be emptied while others fill it, and never takes in what was read before it was emptied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Holds the entries that were used last, between half of `size_max` and all of it."""

    def __init__(self, size_max: int) -> None:
        self._half = size_max // 2
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._lock = Lock()
        self.epoch = 0

    def get_all(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """Return the entries of these keys that are here."""
        epoch, young, old = self.epoch, self._young, self._old
        found, aged = {}, {}
        for key in keys:
            if key in young:
                found[key] = young[key]
            elif key in old:
                found[key] = aged[key] = old[key]
        if aged:
            self.update(aged, epoch)
        return found

    def update(self, entries: Mapping[Key, Value], epoch: int) -> None:
        """Take entries in, unless the cache was emptied after `epoch`, which is when they were read."""
        with self._lock:
            if epoch != self.epoch:
                return
            if len(self._young) + len(entries) > self._half:
                self._old, self._young = self._young, {}
            self._young.update(entries)

    def clear(self) -> None:
        with self._lock:
            self.epoch += 1
            self._young, self._old = {}, {}
