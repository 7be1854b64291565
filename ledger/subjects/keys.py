"""The keys of data subjects: made before a text is sealed, cached for a moment, destroyed for ever.

A key is committed, in the portal's database, before the first event that it seals is appended: a crash between
leaves a key that nothing uses, never a text that nobody can read. What a process has cached is given up within
FRESH_S of an erasure anywhere: before it opens anything it asks, at most that often, whether there was one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from ledger.subjects import connection as portal
from ledger.subjects.cache import Cache
from ledger.subjects.seal import KEY_BYTES, TextKey, key_id_of

# How long after an erasure another process may still open what was erased; its cost is one query in that time.
FRESH_S = 1.0
# Some 10 MB in all. Beyond it a key is asked for again, which costs a batch one query.
CACHED_MAX = 20_000
# Erasures that a process remembers from the log, until it knows them from the table; there are few a day.
GONE_MAX = 10_000
Owner = tuple[str, int]  # account_id, generation
_LEDGER: Owner = ("", 0)  # no account has an empty id
KeyIds = tuple[str, ...]  # in their order; several for a text that is about several accounts

ENSURE = """
WITH wanted AS (
    SELECT * FROM unnest(%b::text[], %b::text[], %b::int[], %b::bytea[]) AS w (key_id, account_id, generation, key)
), made AS (
    INSERT INTO subject_keys (key_id, account_id, generation, key, created_at)
    SELECT key_id, account_id, generation, key, clock_timestamp() FROM wanted ORDER BY key_id
    ON CONFLICT DO NOTHING RETURNING key_id, key
)
SELECT key_id, key FROM made UNION ALL SELECT key_id, s.key FROM wanted JOIN subject_keys AS s USING (key_id)
"""
READ = "SELECT key_id, key FROM subject_keys WHERE key_id = ANY(%b)"
LAST_ERASURE = "SELECT max(erased_at) FROM subject_keys WHERE erased_at IS NOT NULL"
OF_ACCOUNT = """
SELECT key_id, account_id, generation, created_at, erased_at FROM subject_keys WHERE account_id = %s ORDER BY generation
"""
# One erasure at a time and each later than all before, so that the last one tells whether there was another.
ONE_AT_A_TIME = "LOCK TABLE subject_keys IN SHARE ROW EXCLUSIVE MODE"
DESTROY = f"""
UPDATE subject_keys SET key = NULL, erased_at = greatest(
    clock_timestamp(), ({LAST_ERASURE}) + interval '1 microsecond')
WHERE account_id = %s AND generation < %s AND key IS NOT NULL
"""  # noqa: S608 (made of constants)
# PostgreSQL leaves the old version of a changed row where it was, and keeps samples of a column's values to plan with,
# keys among them; this is what removes both.
SWEEP = "VACUUM (ANALYZE) subject_keys"


class KeyDestroyed(portal.KeysUnavailable):
    """The key is destroyed, but the log does not say so: its erasure was not finished, or an old backup restored."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One key of an account, as the table has it. `erased_at` is None while it lives."""

    key_id: str
    account_id: str
    generation: int
    created_at: datetime
    erased_at: datetime | None


class KeyRing:
    """The keys this process has seen lately. None stands for one that is destroyed."""

    def __init__(self) -> None:
        self._keys: Cache[str, bytes | None] = Cache(CACHED_MAX)
        self._text_keys: Cache[KeyIds, TextKey] = Cache(CACHED_MAX)
        self._asked_at = -FRESH_S
        self._last_erasure: datetime | None = None
        self._gone: dict[str, None] = {}
        self._gone_lock = Lock()

    @property
    def gone(self) -> Set[str]:
        """The keys that the log has said to this process are destroyed, or are about to be."""
        return self._gone.keys()

    def note_gone(self, key_id: str) -> None:
        if key_id in self._gone:
            return
        with self._gone_lock:
            self._gone[key_id] = None
            if len(self._gone) > GONE_MAX:
                # The oldest, which the table will long have told everybody of.
                del self._gone[next(iter(self._gone))]

    def start_over(self) -> None:
        """Know nothing, as a process that has just begun."""
        self.forget()
        self._gone.clear()

    def forget(self) -> None:
        """Give up every key; the next use asks the table."""
        self._keys.clear()
        self._text_keys.clear()

    def ensure(self, owners: Iterable[Owner]) -> None:
        """Have the keys of these accounts made where there are none, and at hand. Raises: KeysUnavailable.

        **Shape** one round trip however many there are, none when all of them are known.
        """
        self._stay_fresh()
        wanted = {key_id_of(*owner): owner for owner in owners}
        for known in self._keys.get_all(wanted):
            del wanted[known]
        if not wanted:
            return
        rows = [(key_id, *owner, os.urandom(KEY_BYTES)) for key_id, owner in sorted(wanted.items())]
        columns = [list(column) for column in zip(*rows, strict=True)]
        epoch = self._keys.epoch
        with portal.connection() as conn:
            found = dict(conn.execute(ENSURE, columns, binary=True).fetchall())
        # What is not found was being made by somebody else when the statement began: whoever needs it reads it.
        self._keys.update(found, epoch)

    def to_seal(self, owners: Iterable[Owner]) -> TextKey | None:
        """Return what seals a text about these accounts; None when one has no key yet. Raises: KeyDestroyed."""
        self._stay_fresh()
        by_id = {key_id_of(*owner): owner for owner in owners}
        ids = tuple(sorted(by_id))
        if (text_key := self._text_keys.get_all([ids]).get(ids)) is not None:
            return text_key
        epoch = self._text_keys.epoch
        keys = self._look_up(ids)
        for id_, key in keys.items():
            if key is None:
                raise KeyDestroyed(
                    f"the key of {by_id[id_][0]} is destroyed, and its history does not say so: erase it again"
                )
        return self._combined(ids, keys, epoch) if len(keys) == len(ids) else None

    def of_the_ledger(self) -> TextKey:
        """Return a key that belongs to no subject and is never destroyed, for hashes that have to outlive them."""
        if (key := self.to_seal([_LEDGER])) is None:
            self.ensure([_LEDGER])
            key = self.to_seal([_LEDGER])
        assert key is not None, "a key that was just made is there"
        return key

    def to_open(self, wanted: Collection[KeyIds]) -> dict[KeyIds, TextKey | None]:
        """Return, for each set of key ids, what opens its texts; None where a key is destroyed.

        **Shape** a set with a key that the table has never had is left out. **Raises** KeysUnavailable.
        """
        self._stay_fresh()
        opening: dict[KeyIds, TextKey | None] = dict(self._text_keys.get_all(wanted))
        epoch = self._text_keys.epoch
        unknown = [ids for ids in wanted if ids not in opening]
        found = self._look_up({id_ for ids in unknown for id_ in ids})
        for ids in unknown:
            keys = {id_: found[id_] for id_ in ids if id_ in found}
            if None in keys.values():
                opening[ids] = None
            elif len(keys) == len(ids):
                opening[ids] = self._combined(ids, keys, epoch)
        return opening

    def _combined(self, ids: KeyIds, keys: Mapping[str, bytes | None], epoch: int) -> TextKey:
        text_key = TextKey({id_: key for id_, key in keys.items() if key is not None})
        self._text_keys.update({ids: text_key}, epoch)
        return text_key

    def _look_up(self, key_ids: Collection[str]) -> dict[str, bytes | None]:
        found = self._keys.get_all(key_ids)
        if missing := [id_ for id_ in key_ids if id_ not in found]:
            epoch = self._keys.epoch
            with portal.connection() as conn:
                read = dict(conn.execute(READ, (missing,), binary=True).fetchall())
            self._keys.update(read, epoch)
            found |= read
        return found

    def _stay_fresh(self) -> None:
        now = time.monotonic()
        if now - self._asked_at < FRESH_S:
            return
        with portal.connection() as conn:
            row = conn.execute(LAST_ERASURE).fetchone()
        last = row[0] if row else None
        if last != self._last_erasure:
            self.forget()
            self._last_erasure = last
        self._asked_at = now


RING = KeyRing()


def keys_of(account_id: str) -> list[Standing]:
    """Return every key an account has had, oldest first."""
    with portal.connection() as conn:
        return [Standing(*row) for row in conn.execute(OF_ACCOUNT, (account_id,)).fetchall()]


def destroy(account_id: str, before_generation: int) -> None:
    """Destroy an account's keys up to a generation, for good. Calling it again does nothing more."""
    with portal.connection() as conn:
        with conn.transaction():
            conn.execute(ONE_AT_A_TIME)
            conn.execute(DESTROY, (account_id, before_generation))
        conn.execute(SWEEP)
    RING.forget()
