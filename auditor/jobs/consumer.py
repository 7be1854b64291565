"""The websocket /ws/jobs/<id>: how far one job is, twice a second, until it has ended.

Frames are JSON text: `{"kind":"job", …}`, the fields of `auditor.jobs.views.as_json`; once and last, where it is
so, `{"kind":"error","code":…,"error":…}` before a close with a code of `auditor.request`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.handshake import user_of
from auditor.jobs.views import SEEN_BY, as_json
from auditor.jobs.work import EXPORT
from auditor.models import Job
from auditor.request import NO_ROLE, NOT_SIGNED_IN, Refused
from auditor.served import ServedConsumer
from auditor.threads import in_thread
from chronicle.roles import has_role

INTERVAL_S = 0.5
ENDED = 4000  # the page need not come back
# How long an ended session goes on seeing progress.
RECHECK_LOOKS = 60


class JobConsumer(ServedConsumer):
    async def serve(self) -> None:
        job_id, looks = self.scope["url_route"]["kwargs"]["job_id"], 0
        while True:
            job = await in_thread(Job.objects.filter(pk=job_id).first)
            if looks % RECHECK_LOOKS == 0:
                await self._check_may_see(job)
            looks += 1
            await self.send_json({"kind": "job", **as_json(job)})
            if job.is_over:
                await self.close(code=ENDED)
                return
            await asyncio.sleep(INTERVAL_S)

    async def _check_may_see(self, job: Job | None) -> None:
        user = await user_of(self.scope)
        if not user.is_authenticated:
            raise Refused(NOT_SIGNED_IN, "not_signed_in", "Sign in to see this.")
        if job is None or not await in_thread(_may_see, user, job):
            raise Refused(NO_ROLE, "no_role", "There is no such job, or it is not yours to see.")


def _may_see(user: Any, job: Job) -> bool:
    is_own = job.kind != EXPORT or job.started_by_id == user.pk
    return is_own and has_role(user, *SEEN_BY[job.kind])
