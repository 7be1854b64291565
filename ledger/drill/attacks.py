"""What an attacker with the owner's rights would do to history, each as well as it can be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connections

from ledger.drill.forgery import Forgery
from ledger.drill.original import Original
from ledger.drill.place import Place
from ledger.store.connection import ALIAS
from ledger.store.signed_note import Signer

# By itself where there is one: of a transfer the other side would tell, and at a position of its own.
_MIDDLE_DEPOSIT = """
SELECT aggregate_id, version FROM journal WHERE event_type = 'MoneyDeposited'
ORDER BY command_size > 1, abs(position - (SELECT max(position) / 2 FROM journal)), position LIMIT 1
"""
_ADD_ONE = """
UPDATE events SET data = jsonb_set(data, '{amount_minor}', to_jsonb((data ->> 'amount_minor')::int8 + 1))
WHERE aggregate_id = %s AND version = %s
"""
_ADD_ONE_FROM = """
UPDATE events SET state = jsonb_set(state, '{balance_minor}', to_jsonb((state ->> 'balance_minor')::int8 + 1))
WHERE aggregate_id = %s AND version >= %s
"""
_LAST_MOVE = """
SELECT aggregate_id, version FROM journal AS j
WHERE event_type IN ('MoneyDeposited', 'MoneyWithdrawn') AND command_size = 1
  AND NOT EXISTS (SELECT 1 FROM journal WHERE aggregate_id = j.aggregate_id AND version > j.version)
ORDER BY position DESC LIMIT 1
"""
# One minor unit more than there was before the event and than the account may owe.
_OVERDRAW = """
UPDATE events SET event_type = 'MoneyWithdrawn',
    state = jsonb_set(state, '{balance_minor}', to_jsonb(-1 - (state ->> 'overdraft_limit_minor')::int8)),
    metadata = jsonb_set(metadata, '{command_type}', '"withdraw"'),
    data = jsonb_set(data, '{amount_minor}', to_jsonb(
        (state ->> 'balance_minor')::int8 + (state ->> 'overdraft_limit_minor')::int8 + 1
        + CASE event_type WHEN 'MoneyWithdrawn' THEN 1 ELSE -1 END * (data ->> 'amount_minor')::int8))
WHERE aggregate_id = %s AND version = %s
"""
_HOLLOW = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN /* RAISE EXCEPTION */ RETURN coalesce(NEW, OLD); END $$
"""
_POSITIONS = "SELECT max(position) FROM journal"
_POSITION = "SELECT position FROM journal WHERE aggregate_id = %s AND version = %s"


@dataclass(frozen=True, slots=True)
class Attack:
    """`carry_out` returns where it was made, to be compared with where it is found."""

    name: str
    carry_out: Callable[[Forgery, Original], Place]


def _edit_amount(forgery: Forgery, original: Original) -> Place:
    event = forgery.one(_MIDDLE_DEPOSIT)
    forgery.execute(_ADD_ONE, *event)
    return _of_event(forgery, *event)


def _of_event(forgery: Forgery, aggregate_id: str, version: int) -> Place:
    (position,) = forgery.one(_POSITION, aggregate_id, version)
    return Place(position, position, aggregate_id, version)


def _truncate_at(forgery: Forgery, size: int) -> Place:
    (last,) = forgery.one(_POSITIONS)
    forgery.execute(
        "DELETE FROM events WHERE (aggregate_id, version) IN "
        "(SELECT aggregate_id, version FROM journal WHERE position > %s)",
        size,
    )
    forgery.execute("DELETE FROM journal WHERE position > %s", size)
    forgery.cut_tree(size)
    return Place(size + 1, last)


def _delete_tail(forgery: Forgery, original: Original) -> Place:
    return _truncate_at(forgery, forgery.command_end(original.size - 1))


def _restore_backup(forgery: Forgery, original: Original) -> Place:
    return _truncate_at(forgery, forgery.command_end(original.size // 2))


def _swap(forgery: Forgery, original: Original) -> Place:
    size, first = original.size, original.size // 2
    forgery.execute(
        "UPDATE journal SET position = position + %s WHERE position IN (%s, %s)", 2 * size, first, first + 1
    )
    forgery.execute("UPDATE journal SET position = %s - position WHERE position > %s", 2 * first + 1 + 2 * size, size)
    return Place(first, first + 1)


def _slip_in(forgery: Forgery, original: Original) -> Place:
    account_id, _ = forgery.one(_MIDDLE_DEPOSIT)
    return Place(aggregate_id=account_id, version=forgery.slip_in_deposit(account_id, 1_000_000))


def _alter_consistently(forgery: Forgery, signer: Signer, original: Original) -> Place:
    account_id, version = forgery.one(_MIDDLE_DEPOSIT)
    forgery.execute(_ADD_ONE, account_id, version)
    forgery.execute(_ADD_ONE_FROM, account_id, version)
    return _cover_up(forgery, signer, original, account_id, version)


def _cover_up(forgery: Forgery, signer: Signer, original: Original, account_id: str, version: int) -> Place:
    """Make hashes, tree and heads right from an altered event on, and return its place."""
    place = _of_event(forgery, account_id, version)
    assert place.first is not None, "the event has a position"
    forgery.rehash_from(account_id, version)
    forgery.resign(signer, place.first, original.signs_from)
    return place


def _fork(forgery: Forgery, original: Original) -> Place:
    return _alter_consistently(forgery, original.signer, original)


def _rewrite_with_another_key(forgery: Forgery, original: Original) -> Place:
    other = Signer(original.signer.name, Ed25519PrivateKey.generate())
    return _alter_consistently(forgery, other, original)


def _overdraw(forgery: Forgery, original: Original) -> Place:
    account_id, version = forgery.one(_LAST_MOVE)
    forgery.execute(_OVERDRAW, account_id, version)
    forgery.execute(
        "UPDATE journal SET event_type = 'MoneyWithdrawn' WHERE aggregate_id = %s AND version = %s", account_id, version
    )
    return _cover_up(forgery, original.signer, original, account_id, version)


def _widen_grant(forgery: Forgery, original: Original) -> Place:
    forgery.execute(f'GRANT UPDATE ON events TO "{settings.EVENT_STORE_ROLE}"')
    return Place(lock="UPDATE on events")


def _drop_trigger(forgery: Forgery, original: Original) -> Place:
    forgery.execute("DROP TRIGGER events_append_only ON events")
    return Place(lock="events_append_only")


def _hollow_trigger(forgery: Forgery, original: Original) -> Place:
    forgery.execute(_HOLLOW)
    return Place(lock="events_append_only")


ATTACKS = [
    Attack("edit an amount", _edit_amount),
    Attack("delete the tail, with its heads", _delete_tail),
    Attack("swap two events", _swap),
    Attack("insert a well-hashed event", _slip_in),
    Attack("fork the history, signed with the log's own key", _fork),
    Attack("rewrite everything and sign with another key", _rewrite_with_another_key),
    Attack("take out more than there is, signed with the log's own key", _overdraw),
    Attack("restore an old backup", _restore_backup),
    Attack("widen a grant", _widen_grant),
]
TRIGGER_ATTACKS = [
    Attack("drop a trigger", _drop_trigger),
    Attack("have a trigger do nothing, under its own name", _hollow_trigger),
]


def attacks() -> list[Attack]:
    """Return every attack that the event store's engine is expected to notice.

    **Why** none on a trigger of CockroachDB: it has them since 24.3 and lists them later still, so that no check asks
    for them there, and what an owner does without one is what verification finds.
    """
    return [*ATTACKS, *TRIGGER_ATTACKS] if connections[ALIAS].vendor == "postgresql" else ATTACKS
