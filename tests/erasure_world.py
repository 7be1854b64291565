"""Short words for tests of erasure: a history with texts in it, and every place where a text could still be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from django.conf import settings

from ledger import selectors
from ledger.domain.commands import (
    CloseAccount,
    CreateAccount,
    Deposit,
    Exchange,
    FreezeAccount,
    Leg,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from ledger.engine.execute import execute
from ledger.store.tree_heads import StoredHead
from tests.ledger_world import submission
from tests.proof_world import sign, submit
from tests.servers import libpq

# What is about ann, alone or together with bob; each a word that stands nowhere else.
ABOUT_ANN = (
    "Annabella", "Annwages", "Anncash", "Annrent", "Annforex", "Annsplit", "Annhotel", "Anncancelled", "Anncourt",
    "Annlifted", "Annrefused",
)  # fmt: skip
PAGE = 1_000
# What is about bob, or about nobody.
OF_OTHERS = ("Bobby", "Bobwages", "Common", "Initial balance")


def texts() -> None:
    """Accounts ann, bob and cid and all kinds of texts; `Common` is said by ann first and by bob too."""
    submit(
        CreateAccount("ann", "Annabella", "USD", Decimal(1_000)),
        CreateAccount("bob", "Bobby", "USD", Decimal(1_000)),
        CreateAccount("cid", "Cid", "EUR", Decimal(1_000)),
    )
    submit(
        Deposit("ann", Decimal(5), "Annwages"),
        Deposit("ann", Decimal(6), "Common"),
        Deposit("bob", Decimal(7), "Common"),
        Deposit("bob", Decimal(8), "Bobwages"),
        Withdraw("ann", Decimal(9), "Anncash"),
        Transfer("ann", "bob", Decimal(10), "Annrent"),
        Exchange("ann", "cid", Decimal(11), Decimal(10), "Annforex"),
        MultiTransfer((Leg("bob", Decimal(12)),), (Leg("ann", Decimal(12)),), "Annsplit"),
        FreezeAccount("ann", "Anncourt"),
        UnfreezeAccount("ann", "Annlifted"),
    )
    (placed,) = submit(PlaceHold("ann", Decimal(13), "Annhotel"))
    submit(ReleaseHold("ann", str(placed.command_id), "Anncancelled"))
    execute([submission(CloseAccount("ann", "Annrefused"), idempotency_key="refused")])


def signed_texts() -> StoredHead:
    texts()
    return sign()


def events_of(account_id: str) -> list[dict[str, Any]]:
    """Return all events of an account as the API shows them, however many there are."""
    found: list[dict[str, Any]] = []
    while page := selectors.events(found[-1]["position"] if found else 0, PAGE, account_id).events:
        found += page
    return found


def shown(account_id: str) -> list[str]:
    """Return every text of an account as the API shows it."""
    named = [part for event in events_of(account_id) for part in (event["data"], event["state"])]
    return [part[name] for part in named for name in ("owner_name", "description", "reason") if part.get(name)]


def found_in(url: str, words: tuple[str, ...]) -> dict[str, list[str]]:
    """Return which of the words stand anywhere in a database, by table; `public` and every other schema of ours."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(libpq(url)) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema', 'crdb_internal')"
        ).fetchall()
        for schema, table in tables:
            for word in words:
                query = f'SELECT 1 FROM "{schema}"."{table}" AS t WHERE t::text LIKE %s LIMIT 1'
                if connection.execute(query, (f"%{word}%",)).fetchone():  # type: ignore[call-overload]
                    found.setdefault(f"{schema}.{table}", []).append(word)
    return found


def in_statistics(url: str, word: str) -> set[str]:
    """Return the tables of which PostgreSQL keeps a value with a word in it, to plan with."""
    with psycopg.connect(libpq(url)) as connection:
        samples = "concat(most_common_vals::text, histogram_bounds::text)"
        found = connection.execute(f"SELECT tablename FROM pg_stats WHERE {samples} LIKE %s", (f"%{word}%",))  # type: ignore[arg-type]
        return {table for (table,) in found}


def in_event_store(words: tuple[str, ...]) -> dict[str, list[str]]:
    return found_in(settings.EVENT_STORE_OWNER_URL, words)


def in_read_model(words: tuple[str, ...]) -> dict[str, list[str]]:
    return found_in(settings.READ_MODEL_URL, words)
