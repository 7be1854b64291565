"""Jobs as the table of what was run from a page: the same table for verifications, rebuilds and exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from auditor.admin.formats import anchor, badge
from auditor.models import Job
from auditor.templatetags.ledger import figure

NUMBER, INSTANT, TEXT = "ledger-number", "ledger-instant", "ledger-text"
_TONES: dict[str, str] = {Job.State.DONE: "good", Job.State.WAITING: "plain", Job.State.RUNNING: "plain"}


@dataclass(frozen=True, slots=True)
class Column:
    """`style`: the class of its cells, or nothing."""

    title: str
    show: Callable[[Job], Any]
    style: str = ""


def state(job: Job) -> Any:
    return badge(job.get_state_display(), _TONES.get(job.state, "warning"))


STATE = Column("State", state)
STARTED_AT = Column("Started at (UTC)", lambda job: f"{job.started_at:%Y-%m-%d %H:%M:%S}", INSTANT)
BY = Column("By", lambda job: job.started_by)


def number(title: str, read: Callable[[Job], int | float | None], unit: str = "") -> Column:
    def show(job: Job) -> str:
        value = read(job)
        return f"{figure(value)} {unit}" if unit and value is not None else figure(value)

    return Column(title, show, NUMBER)


def opens(title: str, address: Callable[[Job], str]) -> Column:
    """Return the column that leads to a job's own page."""
    return Column(title, lambda job: anchor(address(job), job.pk))


def history(jobs: Iterable[Job], columns: Iterable[Column]) -> dict[str, Any]:
    """Return what templates/auditor/job_history.html shows."""
    columns = list(columns)
    return {"columns": columns, "rows": [[(column, column.show(job)) for column in columns] for job in jobs]}
