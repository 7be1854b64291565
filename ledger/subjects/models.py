"""The keys of data subjects, in the portal's database: no copy of the event store or of a read model holds one."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class SubjectKey(models.Model):
    """The key that seals the texts of one account, until its subject is erased; then the row says so for ever.

    Written by `ledger.subjects.keys` alone, with SQL, and on no page: whoever reads it reads every text.
    """

    key_id = models.CharField(max_length=12, primary_key=True, help_text="follows from account and generation")
    account_id = models.CharField(max_length=64)
    generation = models.IntegerField(help_text="how often the account's subject had been erased before")
    key = models.BinaryField(null=True, help_text="32 random bytes; null once destroyed")
    created_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "subject_keys"
        default_permissions = ()  # nobody is ever let at it through Django
        constraints = [
            models.UniqueConstraint(fields=["account_id", "generation"], name="subject_keys_once"),
            models.CheckConstraint(
                condition=Q(key__isnull=True, erased_at__isnull=False) | Q(key__isnull=False, erased_at__isnull=True),
                name="subject_keys_destroyed_or_not",
            ),
        ]
        indexes = [
            models.Index(fields=["-erased_at"], name="subject_keys_erased", condition=Q(erased_at__isnull=False))
        ]

    def __str__(self) -> str:
        return self.key_id
