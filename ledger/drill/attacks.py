"""What an attacker with the owner's rights would do to history, each as well as it can be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connections

from ledger.drill.forgery import Forgery
from ledger.store.connection import ALIAS
from ledger.store.signed_note import Signer

_MIDDLE_DEPOSIT = """
SELECT aggregate_id, version FROM journal WHERE event_type = 'MoneyDeposited'
ORDER BY abs(position - (SELECT max(position) / 2 FROM journal)), position LIMIT 1
"""
_ADD_ONE = """
UPDATE events SET data = jsonb_set(data, '{amount_minor}', to_jsonb((data ->> 'amount_minor')::int8 + 1))
WHERE aggregate_id = %s AND version = %s
"""
_ADD_ONE_FROM = """
UPDATE events SET state = jsonb_set(state, '{balance_minor}', to_jsonb((state ->> 'balance_minor')::int8 + 1))
WHERE aggregate_id = %s AND version >= %s
"""
_LAST_DEPOSIT = """
SELECT aggregate_id, version FROM journal AS j WHERE event_type = 'MoneyDeposited'
  AND NOT EXISTS (SELECT 1 FROM journal WHERE aggregate_id = j.aggregate_id AND version > j.version)
ORDER BY position DESC LIMIT 1
"""
_OVERDRAW = """
UPDATE events SET event_type = 'MoneyWithdrawn', state = jsonb_set(state, '{balance_minor}', '-1'),
    metadata = jsonb_set(metadata, '{command_type}', '"withdraw"'),
    data = jsonb_set(data, '{amount_minor}', to_jsonb(
        (state ->> 'balance_minor')::int8 - (data ->> 'amount_minor')::int8 + 1))
WHERE aggregate_id = %s AND version = %s
"""
_HOLLOW = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN /* RAISE EXCEPTION */ RETURN coalesce(NEW, OLD); END $$
"""
_POSITIONS = "SELECT max(position) FROM journal"


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    carry_out: Callable[[Forgery, Signer], object]


def _edit_amount(forgery: Forgery, signer: Signer) -> None:
    forgery.execute(_ADD_ONE, *forgery.one(_MIDDLE_DEPOSIT))


def _truncate_at(forgery: Forgery, size: int) -> None:
    forgery.execute(
        "DELETE FROM events WHERE (aggregate_id, version) IN "
        "(SELECT aggregate_id, version FROM journal WHERE position > %s)",
        size,
    )
    forgery.execute("DELETE FROM journal WHERE position > %s", size)
    forgery.execute("DELETE FROM outbox")
    forgery.cut_tree(size)


def _delete_tail(forgery: Forgery, signer: Signer) -> None:
    (size,) = forgery.one(_POSITIONS)
    _truncate_at(forgery, forgery.command_end(size - 1))


def _restore_backup(forgery: Forgery, signer: Signer) -> None:
    (size,) = forgery.one(_POSITIONS)
    _truncate_at(forgery, forgery.command_end(size // 2))


def _swap(forgery: Forgery, signer: Signer) -> None:
    (size,) = forgery.one(_POSITIONS)
    first = size // 2
    forgery.execute(
        "UPDATE journal SET position = position + %s WHERE position IN (%s, %s)", 2 * size, first, first + 1
    )
    forgery.execute("UPDATE journal SET position = %s - position WHERE position > %s", 2 * first + 1 + 2 * size, size)


def _slip_in(forgery: Forgery, signer: Signer) -> None:
    account_id, _ = forgery.one(_MIDDLE_DEPOSIT)
    forgery.slip_in_deposit(account_id, 1_000_000)


def _alter_consistently(forgery: Forgery) -> None:
    account_id, version = forgery.one(_MIDDLE_DEPOSIT)
    forgery.execute(_ADD_ONE, account_id, version)
    forgery.execute(_ADD_ONE_FROM, account_id, version)
    forgery.rehash_from(account_id, version)


def _fork(forgery: Forgery, signer: Signer) -> None:
    _alter_consistently(forgery)
    forgery.resign(signer)


def _rewrite_with_another_key(forgery: Forgery, signer: Signer) -> None:
    _alter_consistently(forgery)
    forgery.resign(Signer(signer.name, Ed25519PrivateKey.generate()))


def _overdraw(forgery: Forgery, signer: Signer) -> None:
    account_id, version = forgery.one(_LAST_DEPOSIT)
    forgery.execute(_OVERDRAW, account_id, version)
    forgery.execute(
        "UPDATE journal SET event_type = 'MoneyWithdrawn' WHERE aggregate_id = %s AND version = %s", account_id, version
    )
    forgery.rehash_from(account_id, version)
    forgery.resign(signer)


def _widen_grant(forgery: Forgery, signer: Signer) -> None:
    forgery.execute(f'GRANT UPDATE ON events TO "{settings.EVENT_STORE_ROLE}"')


def _drop_trigger(forgery: Forgery, signer: Signer) -> None:
    forgery.execute("DROP TRIGGER events_append_only ON events")


def _hollow_trigger(forgery: Forgery, signer: Signer) -> None:
    forgery.execute(_HOLLOW)


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
