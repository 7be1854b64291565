"""The portal's own table: who looked at whom. It lives in `default`, beside the users it names."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class AccessLogEntry(models.Model):
    """One look of one person at one account, event or transfer."""

    # Whoever has looked can be deactivated, never deleted: the entry would lose its meaning.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, help_text="account, event or transfer")
    subject_id = models.CharField(max_length=64, help_text="the id of what was looked at")
    path = models.CharField(max_length=500, help_text="where: the page, the API call or the websocket")
    at = models.DateTimeField()

    class Meta:
        db_table = "access_log"
        verbose_name = "look"
        verbose_name_plural = "access log"
        indexes = [
            models.Index(fields=["kind", "subject_id", "-id"], name="access_log_by_subject"),
            models.Index(fields=["user", "-id"], name="access_log_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user} looked at {self.kind} {self.subject_id}"
