"""Seals the free text of commands before they are decided: from here on nothing that is stored holds a word of it.

Which key seals a text follows from the state of the accounts that the command is decided on, so an event after an
erasure cannot be sealed under a key that the erasure destroys: the append would conflict. Keys are committed
before `seal` returns. A dry run makes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ledger.domain import aggregates
from ledger.domain.account import Account
from ledger.domain.commands import FREE_TEXT, Command, CreateAccount
from ledger.engine.submission import Submission
from ledger.store.event_store import Head
from ledger.subjects.keys import RING, Owner
from ledger.subjects.seal import TextKey

_text_fields: dict[type, tuple[str, ...]] = {}


class Sealer:
    def __init__(self, submissions: Sequence[Submission], heads: Mapping[str, Head], *, dry_run: bool) -> None:
        """Have the keys of several commands at hand, in one round trip for all of them. Raises: KeysUnavailable."""
        self._heads = heads
        self._is_dry_run = dry_run
        if len(submissions) < 2:
            return  # `_key` asks for those of one
        texts = [submission.command for submission in submissions if texts_of(submission.command)]
        if not texts or dry_run:
            return
        created = {command.account_id for command in texts if isinstance(command, CreateAccount)}
        ids = {id_ for command in texts for id_ in _accounts_of(command)}
        RING.ensure(owner for id_ in ids if (owner := self._owner(id_, id_ in created)) is not None)

    def sealed(self, submission: Submission) -> Submission:
        """Return the submission as it may be stored: itself when there is no text, or when nothing is to be stored.

        **Why** a text about no account that exists is left out: the command will be refused, and if that is on
        record, nobody could have the text erased from there.
        """
        command = submission.command
        texts = texts_of(command)
        if not texts or self._is_dry_run:
            return submission
        key = self._key(command)
        sealed: dict[str, Any] = {name: key.seal(text) if key else "" for name, text in texts.items()}
        return replace(submission, command=replace(command, **sealed))

    def is_same_request(self, submission: Submission, request_hash: bytes) -> bool:
        """Say whether a stored hash is of this request, whether or not it was stored before texts were sealed."""
        return request_hash in (self.request_hash(submission), submission.request_hash())

    def request_hash(self, submission: Submission) -> bytes:
        """Return the hash of all that makes this the same request.

        **Why** keyed where there is a text: by a plain one an erased text could be found by trying.
        """
        if not texts_of(submission.command):
            return submission.request_hash()
        key = self._key(submission.command) or RING.of_the_ledger()
        return submission.request_hash(key.keyed_hash)

    def _key(self, command: Command) -> TextKey | None:
        owners = [self._owner(id_, isinstance(command, CreateAccount)) for id_ in _accounts_of(command)]
        known = [owner for owner in owners if owner is not None]
        if not known or len(known) < len(owners):
            return None  # an account that does not exist: the command will be refused without a trace
        key = RING.to_seal(known)
        if key is None and not self._is_dry_run:
            RING.ensure(known)
            key = RING.to_seal(known)
            assert key is not None, "a key that was just made is there"
        return key

    def _owner(self, account_id: str, is_created: bool) -> Owner | None:
        account = self._heads[account_id].state
        if account is None:
            return (account_id, 0) if is_created else None
        assert isinstance(account, Account), "an account's id leads to an account"
        return (account_id, account.erasures)


def _accounts_of(command: Command) -> list[str]:
    return [id_ for id_ in command.aggregate_ids if aggregates.of_id(id_) is aggregates.ACCOUNT]


def texts_of(command: Command) -> dict[str, str]:
    """Return the free texts of a command that say something, by their field's name."""
    kind = type(command)
    if (names := _text_fields.get(kind)) is None:
        names = _text_fields[kind] = tuple(f.name for f in fields(command) if f.name in FREE_TEXT)
    return {name: text for name in names if (text := getattr(command, name))}
