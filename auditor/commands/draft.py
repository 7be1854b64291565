"""A command that is filled in and not yet confirmed: signed, so that what was shown is what is executed.

It travels in the address, so a page that is reloaded or come back to is the same one, with the same idempotency
key. It is of no use to anybody but whom it was made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.core import signing

AGE_S_MAX = 3_600
_SALT = "auditor.commands.draft"


class InvalidDraft(Exception):
    """The draft was altered, is too old, or is somebody else's."""


@dataclass(frozen=True, slots=True)
class Draft:
    command_type: str
    given: Mapping[str, Any]
    key: str

    @classmethod
    def new(cls, command_type: str, given: Mapping[str, Any]) -> Draft:
        return cls(command_type, given, uuid4().hex)

    def signed_for(self, user: Any) -> str:
        return signing.dumps([user.pk, self.command_type, dict(self.given), self.key], salt=_SALT, compress=True)


def opened(text: str, user: Any, command_type: str) -> Draft:
    """Return the draft in a text. Raises: InvalidDraft."""
    try:
        user_id, type_, given, key = signing.loads(text, salt=_SALT, max_age=AGE_S_MAX)
    except signing.BadSignature as error:
        raise InvalidDraft("it is older than an hour, or not as it was made") from error
    if (user_id, type_) != (user.pk, command_type):
        raise InvalidDraft("it was made for somebody or something else")
    return Draft(type_, given, key)
