"""Short words for tests of rebuilding: a read model to build again, the command that does it, and what it has left."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from tests.read_world import (
    change_read_model,
    open_accounts,
    order_everything,
    projector,
    random_commands,
    read_model,
    submit,
    wait_until_applied,
)


def drop_shadows() -> None:
    """Drop what the tests before have built beside the live tables, or kept."""
    for (schema,) in read_model("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(rebuild|previous)_'"):
        change_read_model(f"DROP SCHEMA {schema} CASCADE")


def call(*arguments: str) -> tuple[int, str]:
    """Run rebuild_projection and return its exit code and what it printed."""
    printed = StringIO()
    try:
        call_command("rebuild_projection", *arguments, stdout=printed, stderr=printed)
    except SystemExit as left:
        return int(left.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def a_built_read_model(commands: int = 80) -> list[str]:
    ids = open_accounts(6)
    submit(*random_commands(ids, commands))
    order_everything()
    with projector():
        wait_until_applied()
    return ids


def built(name: str) -> int:
    if read_model("SELECT to_regclass(%s)", f"rebuild_{name}.checkpoints") == [(None,)]:
        return 0
    found = read_model(f"SELECT position FROM rebuild_{name}.checkpoints")
    return int(found[0][0]) if found else 0
