"""What the fold ends with, accounts and sums, against the tables of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from ledger.domain.instants import parse_instant
from ledger.subjects.texts import open_all
from projections.consistency.finding import Finding, Row, compare, rows_of
from projections.consistency.fold import Fold, Standing

CHUNK = 1_000
ACCOUNTS = "SELECT * FROM accounts WHERE account_id = ANY(%s)"
NEXT_ACCOUNTS = "SELECT account_id FROM accounts WHERE account_id > %s ORDER BY account_id LIMIT %s"
DAYS = """
SELECT account_id, is_external, day, currency, debits_minor::bigint, credits_minor::bigint, postings
FROM daily_balances WHERE account_id = ANY(%s)
"""
NEXT_DAYS = """
SELECT account_id, is_external, day FROM daily_balances WHERE (account_id, day, is_external) > (%s, %s, %s)
ORDER BY account_id, day, is_external LIMIT %s
"""
TRIAL_BALANCE = """
SELECT currency, accounts_minor::text, external_minor::text, debits_minor::text, credits_minor::text,
       postings::text, position::text FROM trial_balance
"""
TRIAL_COLUMNS = ("accounts_minor", "external_minor", "debits_minor", "credits_minor", "postings", "position")
ACTIVITY = "SELECT minute, event_type, currency, events, amount_minor::text FROM activity WHERE minute = ANY(%s)"
NEXT_ACTIVITY = """
SELECT minute, event_type, currency FROM activity WHERE (minute, event_type, currency) > (%s, %s, %s)
ORDER BY minute, event_type, currency LIMIT %s
"""


def compare_accounts(cursor: Any, fold: Fold, account_id: str | None, *, is_whole: bool) -> Iterator[Finding]:
    """Yield what differs in the accounts that the fold has; with `is_whole`, what the table has besides them."""
    for chunk in fold.accounts.chunks(CHUNK):
        chosen = {id_: standing for id_, standing in chunk.items() if account_id in (None, id_)}
        # One that the fold began with in the middle still has its owner's name as it was recorded.
        names = open_all([{"owner_name": standing.account.owner_name} for standing in chosen.values()])
        wanted = {id_: {**_account(s), **name} for (id_, s), name in zip(chosen.items(), names, strict=True)}
        if wanted:
            found = {row["account_id"]: row for row in rows_of(cursor, ACCOUNTS, (list(wanted),))}
            yield from compare("accounts", "account", wanted, found)
    last = ""
    while is_whole and (rows := rows_of(cursor, NEXT_ACCOUNTS, (last, CHUNK))):
        for row in rows:
            if fold.accounts.get(row["account_id"]) is None:
                yield Finding("accounts", f"account {row['account_id']}", None, row)
        last = rows[-1]["account_id"]


def compare_days(cursor: Any, fold: Fold, account_id: str | None) -> Iterator[Finding]:
    """Yield what differs in the daily balances; of one account only, when it is named."""
    for chunk in fold.days.chunks(CHUNK):
        wanted = {key: values for key, values in chunk.items() if account_id in (None, key.split(" ")[0])}
        if not wanted:
            continue
        ids = sorted({key.split(" ")[0] for key in wanted})
        rows = {_day_key(row): row for row in rows_of(cursor, DAYS, (ids,))}
        expected = {
            key: dict(zip(("debits_minor", "credits_minor", "postings"), v, strict=True)) for key, v in wanted.items()
        }
        yield from compare("daily_balances", "day", expected, {key: row for key, row in rows.items() if key in wanted})
    last: tuple[str, date, bool] = ("" if account_id is None else account_id, date.min, False)
    while rows_after := rows_of(cursor, NEXT_DAYS, (*last, CHUNK)):
        for row in rows_after:
            if account_id not in (None, row["account_id"]):
                return
            if fold.days.get(_day_key(row)) is None:
                yield Finding("daily_balances", f"day {_day_key(row)}", None, row)
        last = (rows_after[-1]["account_id"], rows_after[-1]["day"], rows_after[-1]["is_external"])


def compare_totals(cursor: Any, fold: Fold) -> Iterator[Finding]:
    """Yield what differs in the trial balance and in the activity of every minute."""
    expected = {currency: dict(zip(TRIAL_COLUMNS, row, strict=True)) for currency, row in fold.trial.items()}
    found = {
        row["currency"]: {name: int(row[name]) for name in TRIAL_COLUMNS} for row in rows_of(cursor, TRIAL_BALANCE)
    }
    yield from compare("trial_balance", "currency", expected, found)
    for chunk in fold.activity.chunks(CHUNK):
        minutes = sorted({datetime.fromisoformat(key.split(" ")[0]) for key in chunk})
        rows = {_activity_key(row): row for row in rows_of(cursor, ACTIVITY, (minutes,))}
        wanted = {key: {"events": events, "amount_minor": str(minor)} for key, (events, minor) in chunk.items()}
        yield from compare("activity", "of", wanted, {key: row for key, row in rows.items() if key in wanted})
    last: tuple[Any, ...] = (datetime.fromisoformat("0001-01-01T00:00:00+00:00"), "", "")
    while rows_after := rows_of(cursor, NEXT_ACTIVITY, (*last, CHUNK)):
        for row in rows_after:
            if fold.activity.get(_activity_key(row)) is None:
                yield Finding("activity", f"of {_activity_key(row)}", None, row)
        last = tuple(rows_after[-1].values())


def _account(standing: Standing) -> Row:
    account = standing.account
    return {
        "owner_name": account.owner_name,
        "currency": account.currency,
        "status": account.status,
        "balance_minor": account.balance_minor,
        "held_minor": account.held_minor,
        "overdraft_limit_minor": account.overdraft_limit_minor,
        "available_minor": account.available_minor,
        "version": standing.version,
        "opened_at": parse_instant(account.opened_at),
        "updated_at": standing.updated_at,
        "position": standing.position,
    }


def _day_key(row: Row) -> str:
    return f"{row['account_id']} {row['is_external']} {row['day']}"


def _activity_key(row: Row) -> str:
    return f"{row['minute'].isoformat()} {row['event_type']} {row['currency']}"
