"""The heads this process has committed last, so that the next command on them need not read them.

A head is immutable: version v of an aggregate never changes, and whoever appends v + 1 after somebody else did fails on
the primary key. So deciding on a remembered head is safe, provided that the append asks for it (`append`'s
`on_heads`) and that nothing else is concluded from it: before a plan from memory refuses anything, or ends without
having written to every aggregate it looked at, the store is asked for all its heads (ADR 12).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock

from ledger.store.event_store import Head, Snapshot

# As many as one call may touch at least; an account of the usual size takes about a kilobyte.
HEADS_MAX = 20_000
# The store's clock is carried on by this process's own for so long before it is asked again.
CLOCK_NS_MAX = 1_000_000_000
# Where another writer was met, heads are read for so long: remembering an account that several processes share would
# fail every time.
DISTRUST_NS = 500_000_000


class Remembered:
    def __init__(self) -> None:
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._trusted_from_ns: OrderedDict[str, int] = OrderedDict()  # by aggregate_id, in the order of the times
        self._lock = Lock()
        self._told_at: datetime | None = None
        self._told_ns = 0

    def recall(self, aggregate_ids: Iterable[str]) -> Snapshot | None:
        """Return a snapshot as a read would, or None when it takes one."""
        now_ns = time.monotonic_ns()
        with self._lock:
            if self._told_at is None or now_ns - self._told_ns > CLOCK_NS_MAX:
                return None
            try:
                heads = {id_: self._heads[id_] for id_ in aggregate_ids}
            except KeyError:
                return None
            return Snapshot(self._carried_on(self._told_at, now_ns), heads)

    def learn(self, heads: Mapping[str, Head], told_at: datetime) -> None:
        """Remember what was just committed. `told_at`: the store's clock in that append."""
        now_ns = time.monotonic_ns()
        with self._lock:
            # What was heard sooner after it was told is nearer to the store's clock and stays, for as long as it is
            # used. Not longer, or a process whose answers have become slow would not be told the time again.
            is_over = now_ns - self._told_ns > CLOCK_NS_MAX
            if self._told_at is None or is_over or told_at > self._carried_on(self._told_at, now_ns):
                self._told_at, self._told_ns = told_at, now_ns
            while self._trusted_from_ns and next(iter(self._trusted_from_ns.values())) <= now_ns:
                self._trusted_from_ns.popitem(last=False)
            for id_, head in heads.items():
                if id_ in self._trusted_from_ns:
                    continue
                known = self._heads.get(id_)
                if known is None or known.version < head.version:  # of two threads the later one knows more
                    self._heads[id_] = head
                self._heads.move_to_end(id_)
            while len(self._heads) > HEADS_MAX:
                self._heads.popitem(last=False)

    def _carried_on(self, told_at: datetime, now_ns: int) -> datetime:
        """The store told its time before this process heard of it, so what is carried on is never in its future."""
        return told_at + timedelta(microseconds=(now_ns - self._told_ns) // 1_000)

    def forget(self) -> None:
        with self._lock:
            self._heads.clear()
            self._trusted_from_ns.clear()

    def distrust(self, aggregate_ids: Iterable[str]) -> None:
        """Forget these, and remember nothing of them for a while: somebody else writes to one of them too."""
        until_ns = time.monotonic_ns() + DISTRUST_NS
        with self._lock:
            for id_ in aggregate_ids:
                self._heads.pop(id_, None)
                self._trusted_from_ns[id_] = until_ns
                self._trusted_from_ns.move_to_end(id_)
            while len(self._trusted_from_ns) > HEADS_MAX:
                self._trusted_from_ns.popitem(last=False)


REMEMBERED = Remembered()
