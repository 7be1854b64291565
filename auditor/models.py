"""The portal's own tables: who looked at whom, what was run from here, what auditors found.

They live in `default`, beside the users they name. What they say of the ledger is an id, never a relation: no
constraint crosses a database, and nothing here can touch an event.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models


def _person() -> models.ForeignKey:
    """Return a column for whoever did something: deactivated they can be, never deleted, or the row says nothing."""
    return models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")


class AccessLogEntry(models.Model):
    """One look of one person at one account, event or transfer, or the export of one list."""

    user = _person()
    kind = models.CharField(max_length=16, help_text="account, event, transfer or list")
    subject_id = models.CharField(max_length=64, help_text="the id of what was looked at")
    path = models.CharField(max_length=500, help_text="where: the page, the API call or the websocket")
    at = models.DateTimeField()

    class Meta:
        db_table = "access_log"
        verbose_name = "look"
        verbose_name_plural = "access log"
        indexes = [
            models.Index(fields=["subject_id", "-id"], name="access_log_by_id"),
            models.Index(fields=["user", "-id"], name="access_log_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user} looked at {self.kind} {self.subject_id}"


class Job(models.Model):
    """Long work that somebody started from the portal: a verification, a rebuild, an export.

    Of one kind and subject at most one runs at a time, which the database holds.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        STOPPED = "stopped"

    kind = models.CharField(max_length=16)
    subject = models.CharField(max_length=64, blank=True, help_text="what it is about, where there can be several")
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    done = models.BigIntegerField(default=0, help_text="events or rows so far")
    total = models.BigIntegerField(null=True, help_text="events or rows there are, when that is known")
    is_good = models.BooleanField(null=True, help_text="what it found, for work that ends with a verdict")
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True, help_text="why it ended before its end")
    started_by = _person()
    started_at = models.DateTimeField()
    heard_at = models.DateTimeField(help_text="when it was last known to be alive")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "jobs"
        indexes = [models.Index(fields=["kind", "-id"], name="jobs_by_kind")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=models.Q(state="running"), name="jobs_one_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def is_running(self) -> bool:
        return self.state == self.State.RUNNING

    @property
    def is_over(self) -> bool:
        return self.state not in (self.State.WAITING, self.State.RUNNING)


class Finding(models.Model):
    """What an auditor noted about an event or an account, and how far the matter is. Its past is in its changes."""

    class State(models.TextChoices):
        OPEN = "open"
        EXPLAINED = "explained"
        ESCALATED = "escalated"

    kind = models.CharField(max_length=16, help_text="account or event")
    subject_id = models.CharField(max_length=64, help_text="the id of what it is about")
    note = models.TextField(help_text="the newest one")
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    opened_by = _person()
    opened_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "findings"
        indexes = [
            models.Index(fields=["subject_id", "-id"], name="findings_by_id"),
            models.Index(fields=["state", "-id"], name="findings_by_state"),
        ]

    def __str__(self) -> str:
        return f"Finding {self.pk}"


class FindingChange(models.Model):
    """One step of a finding: who set which state with which note, and when. Only ever added to."""

    finding = models.ForeignKey(Finding, on_delete=models.PROTECT, related_name="changes")
    state = models.CharField(max_length=16, choices=Finding.State.choices)
    note = models.TextField()
    changed_by = _person()
    at = models.DateTimeField()

    class Meta:
        db_table = "finding_changes"
        ordering = ("id",)
