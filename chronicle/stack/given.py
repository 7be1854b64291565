"""Checks the servers that the environment names instead of the embedded ones, before anything is started.

A server that does not answer is named in one sentence, with the variable that named it and without its
password.
"""

from __future__ import annotations

import asyncio
import os
import re

import nats
import nats.errors
import psycopg
from psycopg.conninfo import conninfo_to_dict

from chronicle.stack.errors import StackError

CONNECT_TIMEOUT_S = 5
OWN_DATABASE = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = current_database()"


def is_database_url(url: str) -> bool:
    try:
        conninfo_to_dict(_for_libpq(url))
    except psycopg.ProgrammingError:
        return False
    return True


def check_database(variable: str, url: str) -> None:
    """**Raises** StackError when nobody can sign in there, or the database does not exist.

    `url` is one: `is_database_url`.
    """
    conninfo = _for_libpq(url)
    parameters = conninfo_to_dict(conninfo)
    place = f"{parameters.get('host', 'localhost')}:{parameters.get('port', 5432)}/{parameters.get('dbname', '')}"
    try:
        with psycopg.connect(conninfo, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
            # CockroachDB lets one connect to a database that does not exist.
            exists = connection.execute(OWN_DATABASE).fetchone() is not None
    except psycopg.Error as error:
        raise StackError(f"The database at {place}, named by {variable}, cannot be used: {_reason(error)}.") from error
    if not exists:
        raise StackError(f"The database at {place}, named by {variable}, does not exist.")


def _for_libpq(url: str) -> str:
    return re.sub(r"^cockroachdb://", "postgresql://", url)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    lines = str(error).strip().splitlines()
    # psycopg repeats the address in front of the reason, and lists every attempt below the first line.
    return lines[0].split(" failed: ")[-1].rstrip(".") if lines else type(error).__name__


def check_nats(url: str) -> None:
    """**Raises** StackError when no server with JetStream answers there."""
    place = re.sub(r"//[^,]*@", "//", url)
    try:
        asyncio.run(_ask_for_jetstream(url))
    except (OSError, ValueError, nats.errors.Error) as error:
        raise StackError(f"The NATS server at {place}, named by NATS_URL, cannot be used: {_reason(error)}.") from error


async def _ask_for_jetstream(url: str) -> None:
    failures: list[Exception] = []

    async def remember(error: Exception) -> None:
        failures.append(error)

    try:
        connection = await nats.connect(
            url, allow_reconnect=False, connect_timeout=CONNECT_TIMEOUT_S, reconnect_time_wait=0, error_cb=remember
        )
    except nats.errors.NoServersError as error:
        # It says only that none is left; what happened at the last one is what helps.
        raise (failures[-1] if failures else error) from error
    try:
        await connection.jetstream().account_info()
    finally:
        await connection.close()
