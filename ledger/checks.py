"""System checks on the locks that keep history append-only: what the role may do, and that triggers stand.

They look into the database, so they run with `check --database event_store`, with `migrate`, and before a web
process, a relay, a projector or the worker for holds starts. They ask about the application's role by name,
whoever is signed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.management.base import SystemCheckError
from django.db import DataError, OperationalError, connections

from ledger.store.connection import ALIAS

APPEND_ONLY_TABLES = ("events", "journal", "idempotency_keys", "refusals", "tiles", "tree_heads")
TRIGGERS_MIGRATION = "0004_append_only_triggers"
KEYS_MIGRATION = "0006_keys_expire"
TRIGGERS = [f"{table}_{what}" for table in APPEND_ONLY_TABLES for what in ("append_only", "never_truncated")]
# Keys may be removed when they are old, so their trigger calls a function of its own (ADR 6).
KEYS_TRIGGER = "idempotency_keys_append_only"
_ROLE = "SELECT rolsuper, rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = %s"
# TRUNCATE is a privilege of PostgreSQL alone; on CockroachDB it needs DROP, which only an owner has. Names are cast,
# so that neither engine has to find out what a function or an array of names would be.
_PRIVILEGES = """
SELECT t.tablename, p.privilege FROM pg_catalog.pg_tables AS t, unnest(%s::text[]) AS p (privilege)
WHERE t.schemaname = 'public' AND t.tablename::text = ANY(%s::text[])
  AND CASE p.privilege WHEN 'UPDATE' THEN has_any_column_privilege(%s, t.tablename::text, 'UPDATE')
      ELSE has_table_privilege(%s, t.tablename::text, p.privilege) END
ORDER BY t.tablename, p.privilege
"""
# Also those whose rights it does not have by itself, but only after SET ROLE.
_MAY_BECOME = """
SELECT rolname FROM pg_catalog.pg_roles WHERE rolname <> %s AND pg_has_role(%s, oid, 'MEMBER') ORDER BY rolname
"""
_OWNED = """
SELECT tablename FROM pg_catalog.pg_tables
WHERE schemaname = 'public' AND tablename::text = ANY(%s::text[]) AND tableowner = %s
"""
# A trigger stands when it is on its own table, for every row and column, without a condition, and its function is, to
# the letter, what the migration made: under the same names one may do nothing.
_STANDING = """
SELECT t.tgname FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN unnest(%s::text[], %s::int[], %s::text[]) AS wanted (trigger, type, source) ON t.tgname = wanted.trigger
WHERE t.tgrelid = to_regclass('public.' || replace(replace(t.tgname, '_append_only', ''), '_never_truncated', ''))
  AND t.tgenabled IN ('O', 'A') AND t.tgtype = wanted.type AND t.tgqual IS NULL AND t.tgattr = ''
  AND f.prosrc = wanted.source
"""
# Source: https://github.com/postgres/postgres/blob/REL_18_0/src/include/catalog/pg_trigger.h
_BEFORE, _FOR_EACH_ROW, _DELETE, _UPDATE, _TRUNCATE = 2, 1, 8, 16, 32
_MIGRATED = "SELECT 1 FROM django_migrations WHERE app = 'ledger' AND name = %s"


@register(Tags.database)
def check_locks(app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None,
                **kwargs: Any) -> list[CheckMessage]:  # fmt: skip
    """The application's role can only read and add, and every trigger of the migrations stands."""
    if ALIAS not in (databases or []):
        return []
    try:
        with connections[ALIAS].cursor() as cursor:
            problems = [*too_wide(cursor)]
            if connections[ALIAS].vendor == "postgresql":
                problems += missing_triggers(cursor)
    except (OperationalError, DataError):
        # No server, or no role to take: before the first migration that is a DataError of the connection's.
        return []
    hint = "Somebody changed the database by hand: find out who, run verify_ledger, and restore what migrate made."
    return [Error(problem, hint=hint, id="ledger.E001") for problem in problems]


def require_locks() -> None:
    """For a process that no management command starts. Raises: SystemCheckError when history could be changed.

    In a thread of its own, because whoever imports an ASGI application may run an event loop.
    """
    with ThreadPoolExecutor(1) as executor:
        problems = executor.submit(_look_and_let_go).result()
    if problems:
        raise SystemCheckError("\n".join(str(problem) for problem in problems))


def _look_and_let_go() -> list[CheckMessage]:
    try:
        return check_locks(None, databases=[ALIAS])
    finally:
        connections[ALIAS].close()


def too_wide(cursor: Any) -> Iterator[str]:
    """Yield what the application's role can do and should not, by itself or as a role that it may become."""
    role = settings.EVENT_STORE_ROLE
    cursor.execute(_ROLE, [role])
    found = cursor.fetchone()
    if found is None:
        return  # before the first migration
    yield from _too_wide(cursor, role, f"the role {role}")
    if connections[ALIAS].vendor != "postgresql" or found[0]:
        return  # a superuser may become everybody
    cursor.execute(_MAY_BECOME, [role, role])
    for (other,) in cursor.fetchall():
        yield from _too_wide(cursor, other, f"the role {role} may become {other}, which")


def _too_wide(cursor: Any, role: str, who: str) -> Iterator[str]:
    cursor.execute(_ROLE, [role])
    is_superuser, may_make_roles = cursor.fetchone()
    if is_superuser:
        yield f"{who} is a superuser: no lock on history holds it"
        return
    if may_make_roles:
        yield f"{who} may make and change roles"
    privileges = ["UPDATE", "DELETE"]
    if connections[ALIAS].vendor == "postgresql":
        privileges += ["TRUNCATE", "TRIGGER"]
    cursor.execute(_PRIVILEGES, [privileges, list(APPEND_ONLY_TABLES), role, role])
    for table, privilege in cursor.fetchall():
        yield f"{who} has {privilege} on {table}"
    cursor.execute(_OWNED, [list(APPEND_ONLY_TABLES), role])
    for (table,) in cursor.fetchall():
        yield f"{who} owns {table}, and an owner can do anything with it"


def missing_triggers(cursor: Any) -> Iterator[str]:
    """Yield the triggers that a migration made and that do not stand any more."""
    cursor.execute("SELECT to_regclass('public.django_migrations') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return
    cursor.execute(_MIGRATED, [TRIGGERS_MIGRATION])
    if cursor.fetchone() is None:
        return
    cursor.execute(_MIGRATED, [KEYS_MIGRATION])
    keys_function = "refuse_change" if cursor.fetchone() is None else "refuse_change_of_keys"
    sources = [_source(keys_function if name == KEYS_TRIGGER else "refuse_change") for name in TRIGGERS]
    cursor.execute(_STANDING, [TRIGGERS, [_type(name) for name in TRIGGERS], sources])
    standing = {name for (name,) in cursor.fetchall()}
    for name in TRIGGERS:
        if name not in standing:
            yield f"the trigger {name} is gone, switched off or no longer refuses"
    # Set for a database or a role it switches every trigger off, and each of them still stands.
    cursor.execute("SHOW session_replication_role")
    ((replication_role,),) = cursor.fetchall()
    if replication_role != "origin":
        yield f"session_replication_role is {replication_role}: no trigger is carried out"


def _type(trigger: str) -> int:
    if trigger.endswith("_never_truncated"):
        return _BEFORE | _TRUNCATE
    return _BEFORE | _FOR_EACH_ROW | _DELETE | _UPDATE


def _source(function: str) -> str:
    """Return the body of a function as its migration made it."""
    made_by = {"refuse_change": TRIGGERS_MIGRATION, "refuse_change_of_keys": KEYS_MIGRATION}[function]
    statement: str = import_module(f"ledger.migrations.{made_by}").FUNCTION
    return statement.split("$$")[1]
