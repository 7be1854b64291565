"""/healthz: the process is up, nothing is asked. /readyz: everything it needs answers, and which does not.

Both are open, so that a load balancer needs no account; they tell names of parts and nothing of their content.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

import nats
import nats.errors
import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from ledger.api.base import in_thread
from ledger.api.problems import method_not_allowed

log = structlog.get_logger()
View = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]
SAFE = ("GET", "HEAD")
CHECK_S_MAX = 3.0  # a part that needs longer is no use to a request either
# Databases found migrated: that does not change back, and finding it out reads every migration of the project.
_migrated: set[str] = set()


class NotReady(Exception):
    """What a part lacks, in one sentence."""


def looked_at(view: View) -> View:
    """Let everybody look, and nobody do anything else: no form is posted here, so none is checked for being one."""

    @csrf_exempt
    @wraps(view)
    async def answer(request: HttpRequest) -> HttpResponse:
        return await view(request) if request.method in SAFE else method_not_allowed(request.method, SAFE)

    return answer


@looked_at
async def healthz(request: HttpRequest) -> HttpResponse:
    return _answer({"status": "ok"}, 200)


@looked_at
async def readyz(request: HttpRequest) -> HttpResponse:
    """Ask all parts at the same time; 200 when every one of them answers, 503 otherwise."""
    parts: dict[str, Awaitable[None]] = {alias: in_thread(_check_database, alias) for alias in connections}
    parts["nats"] = _check_nats()
    checked = await asyncio.gather(*(_checked(check) for check in parts.values()))
    checks = dict(zip(parts, checked, strict=True))
    is_ready = all(check["ok"] for check in checked)
    if not is_ready:
        log.warning("not ready", **{name: check["problem"] for name, check in checks.items() if not check["ok"]})
    return _answer({"status": "ready" if is_ready else "not_ready", "checks": checks}, 200 if is_ready else 503)


async def _checked(check: Awaitable[None]) -> dict[str, Any]:
    started = time.monotonic()
    problem = None
    try:
        await asyncio.wait_for(check, CHECK_S_MAX)
    except NotReady as error:
        problem = str(error)
    except TimeoutError:
        problem = f"no answer within {CHECK_S_MAX:.0f} s"
    except (DatabaseError, nats.errors.Error, OSError) as error:
        problem = type(error).__name__  # its text may name hosts and users
    result: dict[str, Any] = {"ok": problem is None, "ms": round((time.monotonic() - started) * 1000)}
    return result if problem is None else {**result, "problem": problem}


def _check_database(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
    if alias in _migrated:
        return
    executor = MigrationExecutor(connections[alias])
    if missing := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotReady(f"{len(missing)} migrations are not applied")
    _migrated.add(alias)


async def _check_nats() -> None:
    async def report(error: Exception) -> None:
        """Keep nats-py from printing what the caller is told anyway."""

    client = await nats.connect(
        settings.NATS_URL, name="readyz", allow_reconnect=False, connect_timeout=CHECK_S_MAX, error_cb=report
    )
    try:
        await client.flush()
    finally:
        await client.close()


def _answer(body: dict[str, Any], status: int) -> HttpResponse:
    return HttpResponse(orjson.dumps(body), content_type="application/json", status=status)
