"""Erasure of a subject: first the event, then the key. Whatever stopped it, calling it again finishes it.

The event comes first, because from it on every text is sealed under the next key, in whichever process: so the
key that is destroyed after it seals nothing any more, and no accepted text is lost. Between the two the text can
still be read; that it is to be erased is on record.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.domain.account import Account
from ledger.domain.commands import EraseSubject
from ledger.domain.errors import AccountNotFound
from ledger.engine.execute import execute
from ledger.engine.submission import Rejected, Submission
from ledger.store import event_store
from ledger.subjects import keys
from ledger.subjects.seal import is_sealed
from ledger.subjects.texts import open_texts


def erase(account_id: str, grounds: str, actor: str, on_commit: Callable[[], None] = lambda: None) -> int:
    """Have an account's subject erased and return how many erasures it has had.

    An erasure that was begun and not finished is finished, and nothing else: what was written since needs another
    call. When nothing was written since the last one, nothing happens. Raises: AccountNotFound, KeysUnavailable.
    """
    erasures = account_of(account_id).erasures
    standing = keys.keys_of(account_id)
    is_unfinished = any(key.erased_at is None and key.generation < erasures for key in standing)
    has_more = erasures == 0 or any(key.generation >= erasures for key in standing)
    if has_more and not is_unfinished:
        (outcome,) = execute([Submission(EraseSubject(account_id, grounds), actor)], on_commit=on_commit)
        if isinstance(outcome, Rejected):
            raise outcome.error
        erasures += 1
    keys.destroy(account_id, before_generation=erasures)
    return erasures


def account_of(account_id: str) -> Account:
    """Return an account as it is now. Raises: AccountNotFound."""
    account = event_store.read([account_id]).heads[account_id].state
    if not isinstance(account, Account):
        raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
    return account


def owner_name(account_id: str) -> str:
    """Return what an account's owner is called, as far as anybody can still read it. Raises: KeysUnavailable."""
    name = account_of(account_id).owner_name
    return open_texts([name])[name] if is_sealed(name) else name
