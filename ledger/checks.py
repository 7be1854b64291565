"""System checks on the locks that keep history append-only: what the role may do, and that triggers stand.

They look into the database, so they run with `check --database event_store`, with `migrate`, and before anything
starts that reads, writes or orders history. They ask about the application's role by name, whoever is signed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as WarningMessage
from django.core.management.base import SystemCheckError
from django.db import DataError, OperationalError, connections

from ledger.store.connection import ALIAS

APPEND_ONLY_TABLES = ("events", "journal", "idempotency_keys", "refusals", "tiles", "tree_heads")
# All that the role needs. The outbox is emptied by the relay, which has the same role; nobody changes a row of it.
NEEDED = {
    **{table: {"SELECT", "INSERT"} for table in APPEND_ONLY_TABLES},
    "outbox": {"SELECT", "INSERT", "DELETE"},
    "django_migrations": {"SELECT"},
}
TRIGGERS_MIGRATION = "0004_append_only_triggers"
KEYS_MIGRATION = "0006_keys_expire"
TRIGGERS = [f"{table}_{what}" for table in APPEND_ONLY_TABLES for what in ("append_only", "never_truncated")]
# Keys may be removed when they are old, so their trigger calls a function of its own (ADR 6).
KEYS_TRIGGER = "idempotency_keys_append_only"
_ROLE = "SELECT rolsuper, rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = %s"
# TRUNCATE is a privilege of PostgreSQL alone; on CockroachDB it needs DROP: _GRANTED. Names are cast, so that neither
# engine has to find out what a function or an array of names would be.
_PRIVILEGES = """
SELECT t.tablename, p.privilege FROM pg_catalog.pg_tables AS t, unnest(%s::text[]) AS p (privilege)
WHERE t.schemaname = 'public' AND t.tablename::text = ANY(%s::text[])
  AND CASE WHEN p.privilege IN ('INSERT', 'UPDATE') THEN has_any_column_privilege(%s, t.tablename::text, p.privilege)
      ELSE has_table_privilege(%s, t.tablename::text, p.privilege) END
ORDER BY t.tablename, p.privilege
"""
# CockroachDB's own, which `has_table_privilege` has no words for: with DROP a table is emptied at once.
# Source: https://www.cockroachlabs.com/docs/v23.2/revoke (supported privileges)
_GRANTED = """
SELECT DISTINCT table_name, privilege_type FROM information_schema.table_privileges
WHERE table_schema = 'public' AND table_name::text = ANY(%s::text[]) AND grantee IN (%s, 'public')
  AND privilege_type IN ('ALL', 'CREATE', 'DROP')
ORDER BY table_name, privilege_type
"""
# On PostgreSQL whoever may make an operator or a function in a schema has others carry it out, with their rights
# (CVE-2018-1058): the owner, for one, who migrates and removes old keys.
_MAY_CREATE = """
SELECT has_schema_privilege(%s, 'public', 'CREATE'), has_database_privilege(%s, current_database(), 'CREATE')
"""
# What does on PostgreSQL, with its owner's rights, what the role may not: a view that it may write to, a function.
_LENT = """
SELECT p.privilege || ' on the view ' || c.oid::regclass::text FROM pg_catalog.pg_class AS c
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS p (privilege)
WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
  AND CASE p.privilege WHEN 'DELETE' THEN has_table_privilege(%s, c.oid, p.privilege)
      ELSE has_any_column_privilege(%s, c.oid, p.privilege) END
UNION ALL
SELECT 'the rights of the owner of ' || f.oid::regprocedure::text FROM pg_catalog.pg_proc AS f
WHERE f.prosecdef AND f.pronamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
  AND has_function_privilege(%s, f.oid, 'EXECUTE')
ORDER BY 1
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
_IS_THERE = "SELECT to_regclass(%s) IS NOT NULL"
_MIGRATED = "SELECT 1 FROM django_migrations WHERE app = 'ledger' AND name = %s"

# Source: https://www.cockroachlabs.com/docs/v25.3/show-triggers
COCKROACHDB_LISTS_TRIGGERS = (25, 3)
_is_migrating = ContextVar("is_migrating", default=False)


@contextmanager
def migrating() -> Iterator[None]:
    """For as long as it lasts, only those triggers have to stand whose migration is on record.

    **Why** at any other time all have to, whatever is on record: who drops a trigger can remove that too.
    """
    token = _is_migrating.set(True)
    try:
        yield
    finally:
        _is_migrating.reset(token)


@register(Tags.database)
def check_locks(app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None,
                **kwargs: Any) -> list[CheckMessage]:  # fmt: skip
    """The application's role can only read and add, and every trigger of the migrations stands.

    On CockroachDB a trigger that is gone is a warning: a store that was made before 24.3 never had one.
    """
    if ALIAS not in (databases or []):
        return []
    try:
        with connections[ALIAS].cursor() as cursor:
            problems, warnings = [*too_wide(cursor)], list[str]()
            if connections[ALIAS].vendor == "postgresql":
                problems += missing_triggers(cursor)
            else:
                warnings += unlisted_triggers(cursor)
    except (OperationalError, DataError):
        # No server, or no role to take: before the first migration that is a DataError of the connection's.
        return []
    hint = "Somebody changed the database by hand: find out who, run verify_ledger, and restore what migrate made."
    return [
        *(Error(problem, hint=hint, id="ledger.E001") for problem in problems),
        *(WarningMessage(warning, hint=hint, id="ledger.W001") for warning in warnings),
    ]


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
        return [message for message in check_locks(None, databases=[ALIAS]) if message.is_serious()]
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
    is_postgresql, tables = connections[ALIAS].vendor == "postgresql", list(NEEDED)
    privileges = ["INSERT", "UPDATE", "DELETE", *(["TRUNCATE", "TRIGGER"] if is_postgresql else [])]
    cursor.execute(_PRIVILEGES, [privileges, tables, role, role])
    found = cursor.fetchall()
    if not is_postgresql:
        cursor.execute(_GRANTED, [tables, role])
        found += cursor.fetchall()
    for table, privilege in found:
        if privilege not in NEEDED[table]:
            yield f"{who} has {privilege} on {table}"
    if is_postgresql:
        cursor.execute(_MAY_CREATE, [role, role])
        ((in_schema, schemas),) = cursor.fetchall()
        if in_schema:
            yield f"{who} has CREATE on the schema public"
        if schemas:
            yield f"{who} has CREATE on the database"
        cursor.execute(_LENT, [role, role, role])
        yield from (f"{who} has {lent}" for (lent,) in cursor.fetchall())
    cursor.execute(_OWNED, [tables, role])
    for (table,) in cursor.fetchall():
        yield f"{who} owns {table}, and an owner can do anything with it"


def missing_triggers(cursor: Any) -> Iterator[str]:
    """Yield the triggers that the migrations make and that do not stand."""
    if not _expects(cursor, TRIGGERS_MIGRATION):
        return
    keys_function = "refuse_change_of_keys" if _expects(cursor, KEYS_MIGRATION) else "refuse_change"
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


def _expects(cursor: Any, migration: str) -> bool:
    """Return whether what a migration makes has to be there."""
    if not _is_migrating.get():
        cursor.execute(_IS_THERE, ["public.events"])  # or nothing has been migrated yet
        return bool(cursor.fetchone()[0])
    cursor.execute(_IS_THERE, ["public.django_migrations"])
    if not cursor.fetchone()[0]:
        return False
    cursor.execute(_MIGRATED, [migration])
    return cursor.fetchone() is not None


def unlisted_triggers(cursor: Any) -> Iterator[str]:
    """Yield the triggers that CockroachDB does not list, where it can: that each stands, not what its function does."""
    cursor.execute("SELECT version()")
    version = re.search(r"v(\d+)\.(\d+)", cursor.fetchone()[0])
    if version is None or tuple(map(int, version.groups())) < COCKROACHDB_LISTS_TRIGGERS:
        return
    if not _expects(cursor, TRIGGERS_MIGRATION):
        return
    for table in APPEND_ONLY_TABLES:
        cursor.execute(f"SHOW TRIGGERS FROM {table}")
        if f"{table}_append_only" not in {name for name, is_enabled in cursor.fetchall() if is_enabled}:
            yield f"the trigger {table}_append_only is gone"


def _type(trigger: str) -> int:
    if trigger.endswith("_never_truncated"):
        return _BEFORE | _TRUNCATE
    return _BEFORE | _FOR_EACH_ROW | _DELETE | _UPDATE


def _source(function: str) -> str:
    """Return the body of a function as its migration made it."""
    made_by = {"refuse_change": TRIGGERS_MIGRATION, "refuse_change_of_keys": KEYS_MIGRATION}[function]
    statement: str = import_module(f"ledger.migrations.{made_by}").FUNCTION
    return statement.split("$$")[1]
