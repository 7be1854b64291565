"""The websocket /ws/jobs/<id>: how far one job is, twice a second, until it has ended.

Frames are JSON text: `{"kind":"job", …}`, the fields of `auditor.jobs.views.as_json`; once and last, where it is
so, `{"kind":"error","code":…,"error":…}` before a close with a code of `auditor.request`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer

from auditor.handshake import user_of
from auditor.jobs.views import SEEN_BY, as_json
from auditor.jobs.work import EXPORT
from auditor.models import Job
from auditor.request import NO_ROLE, NOT_SIGNED_IN
from auditor.threads import in_thread
from chronicle.roles import has_role

INTERVAL_S = 0.5
ENDED = 4000  # the page need not come back
# How long an ended session goes on seeing progress.
RECHECK_LOOKS = 60


class JobConsumer(AsyncWebsocketConsumer):
    _serving: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        self._serving = asyncio.create_task(self._serve(self.scope["url_route"]["kwargs"]["job_id"]))

    async def disconnect(self, code: int) -> None:
        if self._serving is not None:
            self._serving.cancel()

    async def _serve(self, job_id: int) -> None:
        looks = 0
        while True:
            job = await in_thread(Job.objects.filter(pk=job_id).first)
            if looks % RECHECK_LOOKS == 0 and not await self._may_see(job):
                return
            looks += 1
            await self._send({"kind": "job", **as_json(job)})
            if job.is_over:
                await self.close(code=ENDED)
                return
            await asyncio.sleep(INTERVAL_S)

    async def _may_see(self, job: Job | None) -> bool:
        user = await user_of(self.scope)
        if not user.is_authenticated:
            await self._refuse(NOT_SIGNED_IN, "not_signed_in", "Sign in to see this.")
            return False
        if job is None or not await in_thread(_may_see, user, job):
            await self._refuse(NO_ROLE, "no_role", "There is no such job, or it is not yours to see.")
            return False
        return True

    async def _refuse(self, close_code: int, code: str, error: str) -> None:
        await self._send({"kind": "error", "code": code, "error": error})
        await self.close(code=close_code)

    async def _send(self, frame: dict[str, Any]) -> None:
        await self.send(text_data=orjson.dumps(frame).decode())


def _may_see(user: Any, job: Job) -> bool:
    is_own = job.kind != EXPORT or job.started_by_id == user.pk
    return is_own and has_role(user, *SEEN_BY[job.kind])
