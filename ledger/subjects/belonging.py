"""Which account is whose, as its creation said: so that a person with several accounts is erased by one command.

In the portal's database beside the keys, and in no event: it says something about people and nothing about money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from ledger.subjects import connection as portal

NOTE = """
INSERT INTO subject_accounts (command_id, account_id, subject_id, noted_at)
SELECT command_id, account_id, subject_id, clock_timestamp()
FROM unnest(%b::uuid[], %b::text[], %b::text[]) AS n (command_id, account_id, subject_id) ON CONFLICT DO NOTHING
"""
_READ = "SELECT command_id, account_id, subject_id FROM subject_accounts"
OF_SUBJECT = f"{_READ} WHERE subject_id = %s"
OF_ACCOUNT = f"{_READ} WHERE account_id = %s"


class Belonging(NamedTuple):
    """What a command that would create an account said; true if an event of that command is there."""

    command_id: UUID
    account_id: str
    subject_id: str


def note(notes: Sequence[Belonging]) -> None:
    """Put notes on record; one that is there already stays. Raises: KeysUnavailable."""
    columns = [list(column) for column in zip(*notes, strict=True)]
    with portal.connection() as conn:
        conn.execute(NOTE, columns)


def of_subject(subject_id: str) -> list[Belonging]:
    with portal.connection() as conn:
        return [Belonging(*row) for row in conn.execute(OF_SUBJECT, (subject_id,))]


def of_account(account_id: str) -> list[Belonging]:
    with portal.connection() as conn:
        return [Belonging(*row) for row in conn.execute(OF_ACCOUNT, (account_id,))]
