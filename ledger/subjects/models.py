"""The keys of data subjects, and whose which account is: in the portal's database and in no copy of the others."""

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


class SubjectAccount(models.Model):
    """What a command that creates an account said of whose it is. Of a command that was refused it says nothing."""

    command_id = models.UUIDField(primary_key=True)
    account_id = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=64)
    noted_at = models.DateTimeField()

    class Meta:
        db_table = "subject_accounts"
        default_permissions = ()
        indexes = [
            models.Index(fields=["subject_id"], name="subject_accounts_by_subject"),
            models.Index(fields=["account_id"], name="subject_accounts_by_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} of {self.subject_id}"
