"""The dashboard's numbers, in the page itself: it is right without a script, and live with one."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from auditor.status import read_status


def add_status(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the status to the dashboard's context; unfold calls this."""
    status = read_status()
    return {**context, "status": status, "status_json": status.as_json()}
